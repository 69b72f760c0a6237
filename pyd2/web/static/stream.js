// The stream of events. A browser connects again by itself, but not after an answer other than 200.

const AGAIN_MS = 3000;

export function listen(onevent, onstate) {
  const source = new EventSource("api/v1/events");
  source.addEventListener("open", () => onstate(true));
  for (const name of ["status", "failure"]) {
    source.addEventListener(name, (event) => onevent(name, JSON.parse(event.data)));
  }
  source.addEventListener("error", () => {
    onstate(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(onevent, onstate), AGAIN_MS);
  });
}

// Asking the daemon: the API by GET, commands by POST. Addresses are relative, so that a proxy may add a path.

export async function get(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = given.length ? `?${new URLSearchParams(given)}` : "";
  const response = await fetch(`api/v1/${path}${query}`);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error?.text ?? answer.text ?? `HTTP ${response.status}`);
  return answer;
}

export async function command(name, given = {}) {
  const response = await fetch("./", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ command: name, service: ["d2"], arguments: given }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.text ?? `HTTP ${response.status}`);
  if (answer[0].result !== 0) throw new Error(answer[0].text);
  return answer[0];
}

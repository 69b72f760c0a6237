"""The web page, with its JSON API and its stream of events. Imported only where a control socket shows it."""

"""One file per figure; each exports `figure`. Discovered, not listed: a module without one is an error."""

"""Defines what all layers share: values, ports, errors, configuration and the store. Imports no other layer."""

import sys

# structlog and typer load rich if they find it, for output that Quarterdeck does not have: 3 MB of memory, and a tenth
# of a second at every start. (`typing`, for a cast, would take longer than a whole `quarterdeck do` may.)
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]

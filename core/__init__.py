"""Defines what all layers share: values, ports, errors, configuration and the store. Imports no other layer."""

import sys
from typing import Any, cast

# structlog and typer load rich if they find it, for output that Quarterdeck does not have: 3 MB of memory, and a tenth
# of a second at every start.
cast(dict[str, Any], sys.modules).setdefault("rich", None)

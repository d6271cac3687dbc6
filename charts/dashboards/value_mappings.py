"""Maps the states of containers, health checks, streams and Swarm to a number, a text and a colour, for timelines."""

from charts.dashboards.panels import BLUE, GREEN, GREY, ORANGE, RED, YELLOW
from core.model.containers import HEALTH_STATES, STATES

_CONTAINER_COLORS = {
    "created": GREY,
    "running": GREEN,
    "paused": BLUE,
    "restarting": ORANGE,
    "removing": GREY,
    "exited": YELLOW,
    "dead": RED,
}
_HEALTH_COLORS = {"starting": BLUE, "healthy": GREEN, "unhealthy": RED}
CONTAINER = {number: (state, _CONTAINER_COLORS[state]) for number, state in enumerate(STATES, 1)}
HEALTH = {number: (state, _HEALTH_COLORS[state]) for number, state in enumerate(HEALTH_STATES, 1)}
YES_NO = {0: ("no", RED), 1: ("yes", GREEN)}
OPEN_CLOSED = {0: ("closed", RED), 1: ("open", GREEN)}
UP_DOWN = {0: ("down", RED), 1: ("up", GREEN)}

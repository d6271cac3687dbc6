"""The steps by which an image was built, and the values that are hidden in them."""

import pytest

from core.text.redact import MASK
from runtimes.formats import image_history


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("/bin/sh -c #(nop)  ENV TOKEN=hunter2 B=c", f"/bin/sh -c #(nop)  ENV TOKEN={MASK} B={MASK}"),
        ("ENV TOKEN=hunter2", f"ENV TOKEN={MASK}"),
        ('ARG A="hunter 2"', f"ARG A={MASK}"),
        ("|2 TOKEN=hunter2 X=1 /bin/sh -c make", f"|2 TOKEN={MASK} X={MASK} /bin/sh -c make"),
        ("RUN /bin/sh -c a=1 make # buildkit", "RUN /bin/sh -c a=1 make # buildkit"),
        ("COPY a=b /c", "COPY a=b /c"),
    ],
)
def test_values_of_arguments_and_of_the_environment_are_hidden(command, shown):
    assert image_history.make_history_step(command, 0.0, 0).command == shown


def test_sizes_belong_to_the_steps_that_made_a_layer():
    config = {
        "history": [
            {"created": "2026-11-24T14:53:38Z", "created_by": "ADD rootfs"},
            {"created": "never", "created_by": "CMD sh", "empty_layer": True},
            {"created_by": "RUN make", "comment": "buildkit"},
            "damaged",
        ]
    }
    found = image_history.of_configuration(config, [100, 20]).rows
    assert [(step.command, step.size, step.created_at) for step in found] == [
        ("RUN make", 20, 0.0),
        ("CMD sh", 0, 0.0),
        ("ADD rootfs", 100, 1795532018.0),
    ]
    assert image_history.of_configuration(None).rows == ()
    assert image_history.make_history_step("x" * 10_000, -5.0, "many").size == 0

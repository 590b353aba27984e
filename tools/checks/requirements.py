"""The ids of the requirements: the white paper's layers, and the lines of its scenarios' acceptance lists.

Decides which ids exist and nothing about what they say; docs/whitepaper-map.md has a line for each.
"""

AREAS = {
    "L": range(1, 3),
    "T": range(1, 10),
    "C": range(7),
    "D": range(16),
    "B": range(5),
    "S": range(1, 9),
    "G": range(1, 8),
}
"""First and last number of each area: layers, base platform, cloud, development, business, scenarios, community."""

SCENARIO_LINES = {0: 3, 1: 14, 2: 15, 3: 15, 4: 14, 5: 15, 6: 15, 7: 15, 8: 15}
"""How many lines the acceptance list of each scenario has; S0 is what every scenario shares."""


def ids() -> tuple[str, ...]:
    """All of them, in reading order."""
    areas = [f"{area}{number}" for area, numbers in AREAS.items() for number in numbers]
    lines = [f"S{scenario}.{line}" for scenario, last in SCENARIO_LINES.items() for line in range(1, last + 1)]
    return (*areas, *lines)

"""What people may do in a study."""

from typing import Literal, get_args

Role = Literal["viewer", "researcher", "owner"]
"""A viewer sees everything and changes nothing; a researcher steers the study and takes its data; an owner also says
who belongs to it. Each may do what those before it may."""

Scope = Literal["read", "steer"]
"""What an API token is good for: what a viewer may do, or also what a researcher may."""

ROLES: tuple[Role, ...] = get_args(Role)
SCOPES: tuple[Scope, ...] = get_args(Scope)


def suffices(role: Role, wanted: Role) -> bool:
    """Whether somebody with this role may do what the wanted one may."""
    return ROLES.index(role) >= ROLES.index(wanted)

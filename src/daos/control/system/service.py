"""The system service as a form: its commands, by the names that the log has."""

from __future__ import annotations

from typing import TypeAlias

from daos.control.replicated import Confirm, ConfirmAll, Form
from daos.control.system.effects import AnyEffect
from daos.control.system.engines import EraseSystem, StartRanks, StopRanks
from daos.control.system.expire import Expire
from daos.control.system.members import ClearExclude, ExcludeRanks, Join, MarkDead, ReportMember
from daos.control.system.pool_create import PoolCreate
from daos.control.system.pool_destroy import PoolDestroy, PoolRelabel, PoolReplicas
from daos.control.system.settings import DeleteAttributes, SetAttributes, SetProperties
from daos.control.system.state import SystemState

AnyCommand: TypeAlias = (
    Join
    | ReportMember
    | MarkDead
    | ExcludeRanks
    | ClearExclude
    | StopRanks
    | StartRanks
    | EraseSystem
    | PoolCreate
    | PoolDestroy
    | PoolRelabel
    | PoolReplicas
    | SetAttributes
    | DeleteAttributes
    | SetProperties
    | Expire
    | Confirm[AnyEffect]
    | ConfirmAll[AnyEffect]
)

SYSTEM = Form(name="system", version=2, state=SystemState, commands=AnyCommand)

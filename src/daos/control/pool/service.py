"""The pool service as a form: its commands, by the names that the log has."""

from __future__ import annotations

from typing import TypeAlias

from daos.control.pool import container_settings, settings, snapshots, targets
from daos.control.pool.container_create import ContainerCreate, ContainerDestroy
from daos.control.pool.container_open import ContainerClose, ContainerCloseAll, ContainerEvict, ContainerOpen
from daos.control.pool.create import CreatePool, PrepareDestroy, ResumePool
from daos.control.pool.effects import AnyEffect
from daos.control.pool.expire import Expire
from daos.control.pool.handles import Connect, Disconnect, Evict
from daos.control.pool.state import PoolState
from daos.control.replicated import Confirm, ConfirmAll, Form

AnyCommand: TypeAlias = (
    CreatePool
    | PrepareDestroy
    | ResumePool
    | Connect
    | Disconnect
    | Evict
    | settings.SetProperties
    | settings.SetLabel
    | settings.SetAttributes
    | settings.DeleteAttributes
    | settings.OverwriteAcl
    | settings.UpdateAcl
    | settings.DeleteAclEntry
    | targets.ExcludeTargets
    | targets.DrainTargets
    | targets.ReintegrateTargets
    | targets.TargetsMoved
    | targets.MarkDead
    | targets.MarkAlive
    | ContainerCreate
    | ContainerDestroy
    | ContainerOpen
    | ContainerClose
    | ContainerCloseAll
    | ContainerEvict
    | container_settings.ContainerSetProperties
    | container_settings.ContainerSetAttributes
    | container_settings.ContainerDeleteAttributes
    | container_settings.ContainerOverwriteAcl
    | container_settings.ContainerUpdateAcl
    | container_settings.ContainerDeleteAclEntry
    | container_settings.ContainerSetOwner
    | snapshots.SnapshotCreate
    | snapshots.SnapshotDestroy
    | snapshots.AllocateOids
    | Expire
    | Confirm[AnyEffect]
    | ConfirmAll[AnyEffect]
)

POOL = Form(name="pool", version=2, state=PoolState, commands=AnyCommand)

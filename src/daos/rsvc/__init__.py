"""What hosts a replica of a replicated service: the log, the state, the leader's driver, and the fence of a rank."""

from daos.rsvc.carriers import Carried, Together
from daos.rsvc.clock import Clock
from daos.rsvc.fence import Asked, RankFence
from daos.rsvc.host import Log, NotLeaderError, ServiceHost

__all__ = ["Asked", "Carried", "Clock", "Log", "NotLeaderError", "RankFence", "ServiceHost", "Together"]

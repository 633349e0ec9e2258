# What type checkers see of the embedded API, which is imported when it is asked for.

from reactor.embedded import Reactor as Reactor
from reactor.embedded import flow as flow
from reactor.plugin.spec import action as action
from reactor.plugin.spec import source as source

__version__: str

"""One file or folder for each outside system: its sources and actions.

A connector declares words with `source` and `action` of `reactor.plugin.spec`, or a bare `Spec`
where the engine itself does the work; `reactor.plugin.catalog` knows which file has which word and
imports it when a flow first uses it. A connector knows the outside system and what its context
offers, nothing of the engine, the store, the loader or another connector.
"""

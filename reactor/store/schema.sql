-- The tables of a state folder. Ids are milliseconds << 22 | sequence, so they sort by time.
-- Columns that end in _ms are milliseconds since 1970. A BLOB is MessagePack; where a value over
-- 1 MiB belongs, a TEXT names its file in blobs/ instead.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE flow_versions (
    hash TEXT PRIMARY KEY,
    flow TEXT NOT NULL,
    document BLOB NOT NULL
) WITHOUT ROWID;

-- Beside flow_versions, because it changes with every commit and the documents are large.
CREATE TABLE version_uses (
    hash TEXT PRIMARY KEY,
    uses INTEGER NOT NULL,
    epoch INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE flow_files (
    path TEXT PRIMARY KEY,
    text TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    instance TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    type TEXT,
    key TEXT,
    depth INTEGER NOT NULL,
    body NOT NULL -- [data, fields]
);

CREATE TABLE identities (
    scope TEXT NOT NULL,
    identity TEXT NOT NULL,
    event INTEGER NOT NULL,
    executions BLOB,
    digest BLOB,
    until_ms INTEGER,
    PRIMARY KEY (scope, identity)
) WITHOUT ROWID;
CREATE INDEX identities_until ON identities (until_ms) WHERE until_ms IS NOT NULL;

CREATE TABLE positions (
    instance TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE executions (
    id INTEGER PRIMARY KEY,
    flow TEXT NOT NULL,
    state INTEGER NOT NULL, -- 0 queued 1 running 2 waiting 3 ok 4 failed 5 cancelled 6 skipped
    event INTEGER NOT NULL,
    version TEXT NOT NULL,
    key TEXT,
    reason TEXT,
    due_ms INTEGER,
    started_ms INTEGER,
    finished_ms INTEGER,
    epoch INTEGER NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    fixed BLOB NOT NULL, -- [root, trigger, created_ms, depth, retry_of, parent]: what never changes
    error BLOB,
    journal -- [[path, kind, value], …]: all of it when ended, else the beginning (see steps)
);
CREATE INDEX executions_flow ON executions (flow, state);
CREATE INDEX executions_event ON executions (event);
-- Nearly all rows are ok in the end; whoever looks for another state finds it here.
CREATE INDEX executions_state ON executions (state) WHERE state != 3;
CREATE INDEX executions_due ON executions (due_ms) WHERE state IN (0, 2) AND due_ms IS NOT NULL;

-- What open executions recorded; gone when they end, for then the journal is in their row.
CREATE TABLE steps (
    execution INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    entries NOT NULL,
    PRIMARY KEY (execution, seq)
) WITHOUT ROWID;

CREATE TABLE state (
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE INDEX state_until ON state (until_ms) WHERE until_ms IS NOT NULL;

-- What gates remember for each key; "event" is one that they need later.
CREATE TABLE gates (
    flow TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    gate TEXT NOT NULL,
    key TEXT NOT NULL,
    state BLOB NOT NULL,
    due_ms INTEGER,
    event INTEGER,
    PRIMARY KEY (flow, "trigger", gate, key)
) WITHOUT ROWID;
CREATE INDEX gates_due ON gates (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX gates_event ON gates (event) WHERE event IS NOT NULL;

-- The events of groups: collected by a gate, then taken by executions.
CREATE TABLE held (
    "group" INTEGER NOT NULL,
    place INTEGER NOT NULL,
    event INTEGER NOT NULL,
    name TEXT,
    PRIMARY KEY ("group", place)
) WITHOUT ROWID;
CREATE INDEX held_event ON held (event);

-- What executions took from gates: a part of a group, and plain facts such as event.since.
CREATE TABLE taken (
    execution INTEGER PRIMARY KEY,
    "group" INTEGER,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    facts BLOB NOT NULL
);
CREATE INDEX taken_group ON taken ("group") WHERE "group" IS NOT NULL;

-- What gates made of stored events.
CREATE TABLE judged (
    event INTEGER NOT NULL,
    flow TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    decision TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (event, flow, "trigger")
) WITHOUT ROWID;

CREATE TABLE dead (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    flow TEXT,
    event INTEGER NOT NULL,
    execution INTEGER,
    reason TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    hidden INTEGER NOT NULL
);
CREATE INDEX dead_event ON dead (event);
CREATE INDEX dead_execution ON dead (execution) WHERE execution IS NOT NULL;

-- Steps of open executions that wait to hear something; name is flow, tab, what.
CREATE TABLE waits (
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    execution INTEGER NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (name, key, execution, path)
) WITHOUT ROWID;

-- Events that such steps may take, kept as long as an execution of the flow is open.
CREATE TABLE heard (
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (name, key, event)
) WITHOUT ROWID;
CREATE INDEX heard_event ON heard (event);

CREATE TABLE unwanted (
    id INTEGER PRIMARY KEY,
    event BLOB NOT NULL,
    stopped BLOB NOT NULL
);

-- The tables of a mobench database. docs/schema.md is generated from this file: a comment before a table describes it,
-- one behind a column describes the column. Times are ns; `t_ns`, `start_ns` and `end_ns` are on the measuring device's
-- monotonic clock, `…wall_ns` and `created_ns` are UTC. Every table but `meta` and
-- `ci95` has `run_id`.

-- What the file is: `format` is `mobench`, `version` the version of this schema, `views` the digest of the views.
CREATE TABLE meta (
  key VARCHAR PRIMARY KEY, -- `format`, `version` or `views`
  value VARCHAR NOT NULL -- its value
);

-- Constants of 95 % intervals by number of values: of the median between order statistics, of the mean by Student's t,
-- of the coefficient of variation by χ².
CREATE TABLE ci95 (
  n INTEGER PRIMARY KEY, -- number of values
  depth INTEGER NOT NULL, -- the interval of the median lies between value `depth` and the next one, from both ends
  weight DOUBLE NOT NULL, -- how far towards the next one
  t DOUBLE NOT NULL, -- factor of the standard error of the mean
  chi_low DOUBLE NOT NULL, -- 2.5 % quantile of χ² with n − 1 degrees of freedom, for the interval of a cv
  chi_high DOUBLE NOT NULL -- 97.5 % quantile of the same
);

-- One run folder.
CREATE TABLE run (
  run_id VARCHAR PRIMARY KEY, -- name of the run folder
  bench VARCHAR NOT NULL, -- the bench
  created_ns BIGINT, -- when the run was made
  plan_digest VARCHAR, -- digest of the plan
  mobench VARCHAR, -- version of mobench
  simulated BOOLEAN NOT NULL, -- true where a device was simulated
  seed VARCHAR, -- seed of the order
  isolation VARCHAR, -- `trial`: a fresh process per repetition; `cell`: one process for all
  repeat INTEGER, -- measured passes per cell
  warmup INTEGER, -- warm-up passes per launch
  complete BOOLEAN NOT NULL, -- true where the journal says so
  damaged BOOLEAN NOT NULL, -- true where the journal has a torn tail or a broken line
  labels MAP(VARCHAR, VARCHAR), -- of `exec --label`
  engines MAP(VARCHAR, VARCHAR), -- build per `engine@platform`
  header JSON, -- run.json
  plan JSON -- plan.json
);

-- A device of a run. Key: (run_id, device).
CREATE TABLE device (
  run_id VARCHAR NOT NULL, -- the run
  device VARCHAR NOT NULL, -- name in the spec
  target VARCHAR, -- kind of device
  identity VARCHAR, -- the physical device
  simulated BOOLEAN, -- true where it is a profile
  facts JSON, -- what the device said of itself
  conditions JSON, -- conditions requested, applied, verified
  PRIMARY KEY (run_id, device)
);

-- The weights of one (model, quant). Key: (run_id, key).
CREATE TABLE artifact (
  run_id VARCHAR NOT NULL, -- the run
  key VARCHAR NOT NULL, -- identity used in cell ids
  model VARCHAR, -- model
  quant VARCHAR, -- NULL: as published
  path VARCHAR, -- on the host
  sha256 VARCHAR, -- digest of the file
  size BIGINT, -- bytes
  note VARCHAR, -- how it came to be
  PRIMARY KEY (run_id, key)
);

-- One value of one axis. Key: (run_id, axis, idx).
CREATE TABLE axis (
  run_id VARCHAR NOT NULL, -- the run
  position INTEGER NOT NULL, -- of the axis in the index vector, from 0
  axis VARCHAR NOT NULL, -- name
  idx INTEGER NOT NULL, -- of the value, from 0
  type VARCHAR, -- `model`, `quant`, `int`, …
  label VARCHAR NOT NULL, -- canonical text of the value
  attributes MAP(VARCHAR, VARCHAR), -- attributes of a declared value, as `axis_attribute`
  value JSON -- the value as in the plan
);

-- A cell of the plan. Key: (run_id, cell_id).
CREATE TABLE cell (
  run_id VARCHAR NOT NULL, -- the run
  cell_id VARCHAR NOT NULL, -- hash of the cell's content; the same in every run
  seq INTEGER NOT NULL, -- place in the plan
  current BOOLEAN NOT NULL, -- false where only an earlier plan of the run had it
  v INTEGER[] NOT NULL, -- index vector in the plan; empty where it is not in it
  axes MAP(VARCHAR, VARCHAR) NOT NULL, -- label per axis
  attributes MAP(VARCHAR, VARCHAR) NOT NULL, -- attributes of its values, as `axis_attribute`
  PRIMARY KEY (run_id, cell_id)
);

-- One pass of a launch: a measured one or a warm-up. A failure is a row. Key: (run_id, trial_id), which stands for
-- (run_id, cell_id, rep, attempt, pass).
CREATE TABLE trial (
  run_id VARCHAR NOT NULL, -- the run
  trial_id VARCHAR NOT NULL, -- `<cell_id>.r<rep>.a<attempt>.p<pass>`
  cell_id VARCHAR NOT NULL, -- the cell
  device VARCHAR, -- name of the device
  rep INTEGER NOT NULL, -- repetition, from 0
  attempt INTEGER NOT NULL, -- from 0; retries count up
  pass INTEGER NOT NULL, -- pass of the launch, warm-ups first
  warmup BOOLEAN NOT NULL, -- true for a warm-up pass
  status VARCHAR NOT NULL, -- `ok`, `failed`, `skipped`, `invalid`
  reason VARCHAR, -- stable code where it is not ok
  detail VARCHAR, -- the same in words
  flags VARCHAR[] NOT NULL, -- `gate_timeout`, `busy_host`, `torn_tail`, …
  final BOOLEAN NOT NULL, -- true for the last attempt of its repetition
  simulated BOOLEAN NOT NULL, -- true where the run is
  block INTEGER, -- of the randomized order
  place INTEGER, -- in the order
  wall_ns BIGINT, -- start of the launch
  wall_end_ns BIGINT, -- end of the launch
  start_ns BIGINT, -- start of the pass
  end_ns BIGINT, -- end of the pass
  cpu_ns BIGINT, -- CPU time of the process in the pass
  engine_start_ns BIGINT, -- start of the engine process to its first event
  overhead_ns BIGINT, -- host time around the launch
  sampler_cpu_ns BIGINT, -- CPU time of the sampler in the launch
  folder VARCHAR, -- raw files, below the run folder
  used JSON, -- what was really used, as the engine reported it; `columns`: all that a tool of others printed, by its own names
  gate JSON, -- how the start was gated
  state JSON, -- state of the device before and after the launch
  PRIMARY KEY (run_id, trial_id)
);

-- A window of a pass. Logical key: (run_id, trial_id, request, name).
CREATE TABLE phase (
  run_id VARCHAR NOT NULL, -- the run
  trial_id VARCHAR NOT NULL, -- the trial
  request INTEGER NOT NULL, -- −1 where it belongs to none
  name VARCHAR NOT NULL, -- `load`, `prefill`, `decode`, `depth`, `think`, `score`
  start_ns BIGINT NOT NULL, -- start
  end_ns BIGINT NOT NULL -- end
);

-- One output token. Logical key: (run_id, trial_id, request, idx).
CREATE TABLE token (
  run_id VARCHAR NOT NULL, -- the run
  trial_id VARCHAR NOT NULL, -- the trial
  request INTEGER NOT NULL, -- request of the pass
  idx INTEGER NOT NULL, -- from 0; the first one ends the prefill
  t_ns BIGINT NOT NULL, -- when it was available
  token_id INTEGER -- its id in the vocabulary
);

-- One reading of one channel; what could not be read has no row. Logical key: (run_id, trial_id, channel, t_ns).
CREATE TABLE sample (
  run_id VARCHAR NOT NULL, -- the run
  trial_id VARCHAR NOT NULL, -- the trial in whose pass it lies; outside every pass: the launch's first measured one
  channel VARCHAR NOT NULL, -- metric, or metric.part
  t_ns BIGINT NOT NULL, -- when
  value DOUBLE NOT NULL, -- in `unit` of `channel`
  raw BIGINT NOT NULL -- as it was read
);

-- What a channel of a trial is. Logical key: (run_id, trial_id, channel).
CREATE TABLE channel (
  run_id VARCHAR NOT NULL, -- the run
  trial_id VARCHAR NOT NULL, -- the trial
  channel VARCHAR NOT NULL, -- the channel
  unit VARCHAR NOT NULL, -- of `value`
  raw_unit VARCHAR NOT NULL, -- of `raw`
  source VARCHAR NOT NULL, -- where it was read
  hz DOUBLE -- wanted rate
);

-- A memory mark at the end of a phase. Logical key: (run_id, trial_id, phase, method, t_ns).
CREATE TABLE memory (
  run_id VARCHAR NOT NULL, -- the run
  trial_id VARCHAR NOT NULL, -- the trial
  phase VARCHAR NOT NULL, -- the phase that ended
  method VARCHAR NOT NULL, -- `VmHWM`, `VmRSS`, `Pss`, `phys_footprint`
  t_ns BIGINT NOT NULL, -- when
  bytes BIGINT NOT NULL -- how much
);

-- A metric of a trial. Logical key: (run_id, trial_id, name).
CREATE TABLE metric (
  run_id VARCHAR NOT NULL, -- the run
  trial_id VARCHAR NOT NULL, -- the trial
  name VARCHAR NOT NULL, -- see docs/metrics.md
  value DOUBLE, -- NULL with a reason, never 0, where there is none
  unit VARCHAR NOT NULL, -- of `value` and `uncertainty`
  method VARCHAR, -- how it was measured
  uncertainty DOUBLE, -- standard uncertainty where it is known
  reason VARCHAR -- `not_applicable`, `not_delivered`, or the trial's
);

-- A request and its answer. Logical key: (run_id, trial_id, request).
CREATE TABLE output (
  run_id VARCHAR NOT NULL, -- the run
  trial_id VARCHAR NOT NULL, -- the trial
  request INTEGER NOT NULL, -- from 0
  conversation VARCHAR, -- NULL for random tokens
  turn INTEGER, -- of the conversation
  accepted_ns BIGINT, -- prompt in hand
  prefill_start_ns BIGINT, -- first decode call
  prefill_end_ns BIGINT, -- prompt evaluated
  prompt_tokens INTEGER, -- evaluated
  cached_tokens INTEGER, -- taken from the kept cache
  output_tokens INTEGER, -- generated
  prompt_chars INTEGER, -- NULL for random tokens
  output_chars INTEGER, -- NULL for random tokens
  finish VARCHAR, -- `length`, `eos`, `context`, `none`
  text VARCHAR -- the answer
);

-- A scored continuation. Logical key: (run_id, trial_id, id).
CREATE TABLE score (
  run_id VARCHAR NOT NULL, -- the run
  trial_id VARCHAR NOT NULL, -- the trial
  id VARCHAR NOT NULL, -- of the question
  logprob DOUBLE, -- natural log, summed over tokens
  tokens INTEGER, -- of the continuation
  greedy BOOLEAN -- true where the model would have chosen it
);

-- What became of an `expect` or `warn`, per group. Logical key: (run_id, expectation, groups).
CREATE TABLE verdict (
  run_id VARCHAR NOT NULL, -- the run
  expectation INTEGER NOT NULL, -- place in the spec, from 0
  severity VARCHAR NOT NULL, -- `expect` or `warn`
  text VARCHAR NOT NULL, -- the claim as written
  groups MAP(VARCHAR, VARCHAR) NOT NULL, -- label per `per` axis
  status VARCHAR NOT NULL, -- `holds`, `fails`, `inconclusive`
  cells INTEGER NOT NULL, -- cells in the group
  failing INTEGER NOT NULL, -- cells that fail
  unsure INTEGER NOT NULL, -- cells that are inconclusive
  worst_cell VARCHAR, -- the cell that decides
  worst MAP(VARCHAR, VARCHAR), -- its axes
  value DOUBLE, -- left side of its deciding comparison
  lo DOUBLE, -- of the interval
  hi DOUBLE, -- of the interval
  bound DOUBLE, -- right side of the comparison
  unit VARCHAR, -- of the four
  n INTEGER, -- launches
  failed INTEGER NOT NULL, -- trials of the group that finally failed
  few BOOLEAN NOT NULL, -- true where a percentile or cv stands on too few values
  reason VARCHAR -- why it is inconclusive, or which trials failed
);

-- The journal, and what instruments reported as wrong. Logical key: (run_id, source, seq).
CREATE TABLE event (
  run_id VARCHAR NOT NULL, -- the run
  source VARCHAR NOT NULL, -- `journal`, or the trial's folder
  seq BIGINT NOT NULL, -- place in its source
  t_ns BIGINT, -- journal: UTC; instrument: device clock
  kind VARCHAR NOT NULL, -- of the record; `error` from an instrument
  device VARCHAR, -- device
  cell_id VARCHAR, -- cell
  data JSON NOT NULL -- the record
);

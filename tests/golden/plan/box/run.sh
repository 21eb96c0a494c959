#!/bin/sh
# b on box
timeout_ns=600000000000
set_condition airplane on
need models/3b2d41fa29d6e16c86dbc7760238efa101433a4ae73810a51ecab7ccd5b9682f.gguf

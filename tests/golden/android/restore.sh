#!/bin/sh
# After a crash: end what is left running on phone, put changed settings back.
exec sh "$(dirname -- "$0")/run.sh" restore

#!/bin/sh
# After a crash: end what is left running on board '$(reboot)', put changed settings back.
exec sh "$(dirname -- "$0")/run.sh" restore

# What the virtual phone's own commands share. State lies in /.phone, one file per value.
S=/.phone
api=$(<$S/props/ro.build.version.sdk)
put() { print -r -- "$2" >"$S/$1.new" && mv -f "$S/$1.new" "$S/$1"; }
get() { [[ -e $S/$1 ]] && REPLY=$(<"$S/$1") || { REPLY=$2; return 1; }; }
say() { print -r -- "$@"; }
die() { print -ru2 -- "$1"; exit "${2:-1}"; }
plain() { [[ -n $1 && $1 != *[!A-Za-z0-9._:-]* && $1 != .* ]]; }
supply() { REPLY=$(<"/sys/class/power_supply/$(<$S/supply)/$1"); }

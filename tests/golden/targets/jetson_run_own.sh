    # What is sampled is found by board.sh, which the host asks as well.
    heat_path=$(sh "$here/board.sh" heat) || heat_path=
    rated=$(sh "$here/board.sh" rate) && lead_s=${rated##* }
    if [ -x "$MB_RUNNER" ] && [ -n "${dir-}" ] && [ ! -f "$dir/sample.json" ]; then
        sh "$here/board.sh" sample >"$dir/sample.json.part" && mv -f "$dir/sample.json.part" "$dir/sample.json"
    fi
    export MB_ROOT
}

condition() { # NAME VALUE OPTIONAL: set one, and see whether it is set
    planned=$(sh "$here/board.sh" plan "$1" "$2" 2>&1) || {
        echo "run.sh: $1 cannot be set to $2: $planned" >&2
        [ "$3" = 1 ]
        return
    }
    undo=${planned%%
*}
    (change "$undo" "${planned#*
}") && sh "$here/board.sh" verify "$1" "$2" && return
    echo "run.sh: $1 is not $2, although it was set" >&2
    [ "$3" = 1 ]

#!/bin/sh
# Stands for cmake on a virtual board: writes its arguments down, looks at the files that it is given, and "compiles" by
# copying the file `program` of the board. The file `broken` makes it fail.
printf '%s\n' "$*" >>"$MB_VIRTUAL/cmake.log"
case $1 in
    --version) echo "cmake version $(cat "$MB_VIRTUAL/cmake_version" 2>/dev/null || echo 3.22.1)" ;;
    -S)
        [ -f "$2/CMakeLists.txt" ] && [ -f "$2/main.c" ] || { echo "no source in $2" >&2; exit 1; }
        for word; do
            case $word in
                -DLLAMA_CPP_DIR=*) [ -f "${word#*=}/ggml/CMakeLists.txt" ] || { echo "no llama.cpp" >&2; exit 1; } ;;
            esac
        done
        mkdir -p "$4"
        ;;
    --build)
        echo '[  1%] Building CUDA object a.cu.o'
        if [ -p "$MB_VIRTUAL/go" ]; then read -r go <"$MB_VIRTUAL/go"; fi
        if [ -e "$MB_VIRTUAL/broken" ]; then
            echo 'ggml-cuda.cu(7): error: identifier "bf16" is undefined' >&2
            exit 2
        fi
        mkdir -p "$2/bin" && cp "$MB_VIRTUAL/program" "$2/bin/$4"
        echo '[100%] Built target mobench-runner'
        ;;
esac

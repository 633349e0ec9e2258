#!/usr/bin/env bash
# Builds dist/reactor (one file) and dist/reactor-dir/ (one folder, which services run) in a virtual
# environment of their own. What is newer than its sources is not built again.
# Exit code 69: this machine lacks what PyInstaller needs; the packages to install are named.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
venv=build/venv-binary
recipe="pyproject.toml constraints.txt"
built=dist/reactor-dir/reactor

mkdir -p build
exec 9>build/binary.lock
flock 9  # `make binary` and the tests may come at the same time

newer() {  # whether any of the files is newer than the first one, or that is not there
    local than=$1
    shift
    [ ! -e "$than" ] || [ -n "$(find "$@" -type f ! -name '*.pyc' -newer "$than" -print -quit)" ]
}

if [ -x dist/reactor ] &&
    ! newer "$built" reactor packaging/reactor.spec packaging/zones.py packaging/build_binary.sh $recipe; then
    echo "dist/reactor and dist/reactor-dir are up to date"
    exit 0
fi

lacking() {
    echo "make binary: $1" >&2
    exit 69
}
for tool in objdump strip; do
    command -v "$tool" >/dev/null || lacking "no $tool here: apt install binutils"
done
"$python" - <<'END' || lacking "Python's shared library is not here: apt install libpython3-dev"
import ctypes, sys, sysconfig
name, folder = sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LIBDIR")
for place in (name, f"{folder}/{name}"):
    try:
        ctypes.CDLL(place)
        sys.exit()
    except OSError:
        pass
sys.exit(1)
END

if newer "$venv/stamp" $recipe; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip --disable-pip-version-check --quiet install -c constraints.txt -e '.[build]'
    touch "$venv/stamp"
fi

started=$(mktemp -p build)  # what is edited while it builds is built the next time
"$venv/bin/pyinstaller" --noconfirm --log-level ERROR \
    --distpath dist --workpath build/pyinstaller packaging/reactor.spec
touch -r "$started" "$built"
rm "$started"
du -sh dist/reactor dist/reactor-dir

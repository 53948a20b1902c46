#!/usr/bin/env bash
# Finds a Python 3.10 to 3.13 and starts the program with it. PYTHON names one outside the search path.
cd "$(dirname "$0")" || exit 1

# Old start scripts keep their options here.
if [ -f webui-user.sh ]; then
    # shellcheck disable=SC1091
    source ./webui-user.sh
    if [ -n "${venv_dir:-}" ]; then export VENV_DIR="$venv_dir"; fi
fi

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

for candidate in "${PYTHON:-}" "${python_cmd:-}" python3.11 python3.12 python3.13 python3.10 python3 python; do
    if [ -n "$candidate" ] && fits "$candidate"; then
        export PYTHON="$candidate"
        exec "$candidate" launch.py "$@"
    fi
done

echo "No Python 3.10 to 3.13 was found. Install one (on Debian and Ubuntu: sudo apt install python3 python3-venv)," >&2
echo "or name one: PYTHON=/path/to/python3.11 ./webui.sh" >&2
exit 1

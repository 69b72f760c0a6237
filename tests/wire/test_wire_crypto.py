"""libcrypto is found at run time: with the functions that its headers declare, or with the reason why not."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyd2.packets.wire import ffi, lib
from tests.wire.build import SOURCES, STRICT, compile_c

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
#include "libcrypto.h"
#include "tsig.h"
#include <stdio.h>

int main(void) {
    const uint8_t name[] = {1, 'a', 0};
    wire_key *key = wire_key_new(name, 3, name, 3, "sha256", name, 1, 32);
    printf("%d %s\\n", key != NULL, wire_crypto_problem());
    wire_key_free(key);
    return 0;
}
"""


def test_it_is_found_here() -> None:
    assert ffi.string(lib.wire_crypto_problem()) == b""


def test_the_declarations_are_those_of_openssl(tmp_path: Path) -> None:
    """A pointer to a function of another type would not compile."""
    source, header = ((SOURCES / name).read_text() for name in ("crypto.c", "crypto.h"))
    table = re.findall(r'\{"(\w+)", offsetof\(wire_crypto_functions, (\w+)\)\}', source)
    assert len(table) == len(re.findall(r"^    wire_\w+ \*\w+;", header, re.MULTILINE)) > 0
    members = ", ".join(f".{member} = {symbol}" for symbol, member in table)
    (tmp_path / "check.c").write_text(
        '#include <openssl/crypto.h>\n#include <openssl/evp.h>\n#include "crypto.h"\n#include "tsig.h"\n'
        f"wire_crypto_functions found = {{{members}}};\n"
        '_Static_assert(WIRE_MAC_MAX == EVP_MAX_MD_SIZE, "the longest digest");\n')
    compile_c("cc", *STRICT, "-I", SOURCES, "-c", tmp_path / "check.c", "-o", tmp_path / "check.o")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crypto")
    (folder / "main.c").write_text(PROGRAM)
    compile_c("cc", *STRICT, "-g", "-I", SOURCES, *sorted(SOURCES.glob("*.c")), folder / "main.c", "-o",
              folder / "program")
    return folder / "program"


def run(program: Path, folder: Path) -> str:
    """Run the program with a folder in which it looks for libraries first."""
    env = os.environ | {"LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run([program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_that_is_not_linked_with_it_makes_keys(program: Path, tmp_path: Path) -> None:
    assert run(program, tmp_path) == "1 \n"


def test_without_it_there_are_no_keys_but_a_reason(program: Path, tmp_path: Path) -> None:
    for name in ("libcrypto.so.3", "libcrypto.so.4"):
        (tmp_path / name).write_text("no library")
    said = run(program, tmp_path)
    assert said.startswith("0 ")
    assert f"{tmp_path}/libcrypto.so.3: file too short; {tmp_path}/libcrypto.so.4: file too short" in said


def test_one_that_lacks_a_function_does_not_do(program: Path, tmp_path: Path) -> None:
    (tmp_path / "other.c").write_text("int EVP_MD_fetch; int other;\n")
    for name in ("libcrypto.so.3", "libcrypto.so.4"):
        compile_c("cc", "-shared", "-fPIC", tmp_path / "other.c", "-o", tmp_path / name)
    why = r".*undefined symbol: EVP_MD_free"
    assert re.fullmatch(rf"0 {why}; {why}\n", run(program, tmp_path))

/*
 * Runs pyd2 under the name of Kea's server: the process has the name, the program file and the arguments that Stork and
 * process monitors look for, and Python's interpreter is inside.
 *
 *     cc -O2 -DPYD2_PYTHON='"/usr/bin/python3"' kea-dhcp-ddns.c $(python3-config --cflags --ldflags --embed)
 *
 * PYD2_PYTHON is the interpreter whose packages are used, also that of a virtual environment with the same version.
 * libpython may be slower than that program itself: docs/install.md has a figure for Debian.
 */
#include <Python.h>

#include <stdlib.h>

#ifndef PYD2_PYTHON
#error "PYD2_PYTHON is missing: the path of the Python interpreter that pyd2 is installed for"
#endif

/* What pip writes into the program pyd2. A module would be run by runpy, which takes longer to import. */
static const char PROGRAM[] = "import sys; from pyd2.cli import main; sys.exit(main())";

/* Set up Python: as with python3 -I, neither its environment variables nor the user's packages count. */
static PyStatus set_up(PyConfig *config, int argc, char **argv)
{
    PyStatus status;
    PyPreConfig before;

    PyPreConfig_InitPythonConfig(&before); /* the locale as for Python: file names may have any encoding */
    before.isolated = 1;
    before.use_environment = 0;
    before.parse_argv = 0;
    status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        return status;
    config->install_signal_handlers = 1; /* SIGPIPE is ignored */
    config->write_bytecode = 0;          /* the package is compiled, and the daemon's user may not write there */
    config->faulthandler = getenv("PYTHONFAULTHANDLER") != NULL; /* docs/hooks-compiled.md */
    status = PyConfig_SetBytesArgv(config, argc, argv);
    if (PyStatus_Exception(status))
        return status;
    status = PyConfig_SetBytesString(config, &config->executable, PYD2_PYTHON);
    if (PyStatus_Exception(status))
        return status;
    status = PyConfig_SetBytesString(config, &config->run_command, PROGRAM);
    if (PyStatus_Exception(status))
        return status;
    return Py_InitializeFromConfig(config);
}

int main(int argc, char **argv)
{
    PyConfig config;
    PyStatus status;

    PyConfig_InitIsolatedConfig(&config);
    status = set_up(&config, argc, argv);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status); /* prints why, and does not return */
    return Py_RunMain();
}

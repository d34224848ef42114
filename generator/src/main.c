/* ouchi's traffic generator: started by ouchi and controlled through a unix socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>

#include "control.h"
#include "log.h"
#include "port.h"
#include "stream.h"
#include "transmit.h"
#include "worker.h"

static int usage(void)
{
    fprintf(stderr, "usage: ouchi-generator SOCKET TIMEOUT [EAL OPTION ...]\n"
                    "SOCKET: a path that does not exist; TIMEOUT: seconds without a client after which it exits\n");
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return usage();
    const char *path = argv[1];
    char *end;
    double timeout = strtod(argv[2], &end);
    if (*end != '\0' || !(timeout > 0))
        return usage();
    argv[2] = argv[0];
    (void)log_capture();
    if (rte_eal_init(argc - 2, argv + 2) < 0) {
        fprintf(stderr, "ouchi-generator: rte_eal_init failed: %s\n", log_recent());
        return 3;
    }
    int status = 0;
    if (!transmit_prepare() || !workers_launch()) {
        fprintf(stderr, "ouchi-generator: no worker: it needs at least two lcores, such as --lcores 0@0,1@1\n");
        status = 3;
    } else if (!control_listen(path)) {
        fprintf(stderr, "ouchi-generator: cannot listen on %s: %s\n", path, strerror(errno));
        status = 3;
    } else {
        control_serve(timeout);
        unlink(path);
    }
    workers_join();
    streams_clear();
    ports_close();
    rte_eal_cleanup();
    return status;
}

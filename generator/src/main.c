/* ouchi's traffic generator: started by ouchi, told what to do on a unix socket. */
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
    fprintf(stderr, "usage: ouchi-generator SOCKET PATIENCE [EAL OPTION ...]\n"
                    "SOCKET: a path that is free; PATIENCE: seconds without a client after which it ends\n");
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return usage();
    const char *path = argv[1];
    char *end;
    double patience = strtod(argv[2], &end);
    if (*end != '\0' || !(patience > 0))
        return usage();
    argv[2] = argv[0];
    (void)log_listen();
    if (rte_eal_init(argc - 2, argv + 2) < 0) {
        fprintf(stderr, "ouchi-generator: DPDK does not start: %s\n", log_last_words());
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
        control_serve(patience);
        unlink(path);
    }
    workers_join();
    streams_clear();
    ports_close();
    rte_eal_cleanup();
    return status;
}

/* JSON lines on a unix socket, one client at a time: each request line is answered by a line. */
#pragma once

#include <stdbool.h>

enum { MAX_LINE = 1 << 20 /* bytes of a request */, MAX_OUTBOX = 32 << 20 /* bytes of answers that the client has not read */ };

bool control_listen(const char *path);

/* Serve until quit is requested, a signal arrives, or no client was connected for `timeout` seconds. */
void control_serve(double timeout);

/* One client on a unix socket: a line of JSON asks, a line of JSON answers. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

enum { LINE_MOST = 1 << 20 /* bytes of a request */, UNREAD_MOST = 32 << 20 /* bytes of answers that nobody reads */ };

bool control_listen(const char *path);

/* Serves until asked to quit, until a signal, or until there was no client for `patience` seconds. */
void control_serve(double patience);
void control_tell(json_t *message); /* takes the reference */
void control_quit(void);

/* The answer to a request; never NULL. */
json_t *command_answer(json_t *request);
json_t *results_json(void);
json_t *progress_json(void);

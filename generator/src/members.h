/* Strict reader of a JSON object: range checks, and unknown members are an error. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "problem.h"

/* `read` counts the members that were read: any others are unknown, and an error. */
struct members {
    json_t *object;
    struct problem *problem;
    const char *where;
    unsigned read;
    bool good;
};

struct members members_of(json_t *object, const char *where, struct problem *problem);
double members_number(struct members *members, const char *name, double min, double max, double fallback);
uint64_t members_integer(struct members *members, const char *name, uint64_t min, uint64_t max, int64_t fallback);
const char *members_string(struct members *members, const char *name, const char *fallback);
json_t *members_array(struct members *members, const char *name, bool needed);
bool members_complete(struct members *members);

/* `fallback` of a mandatory member. */
enum { REQUIRED = -1 };

/* Reading a JSON object, saying what is wrong with it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "problem.h"

/* The members of an object that were asked for; others are a problem (a typing error would go unnoticed). */
struct fields {
    json_t *object;
    struct problem *problem;
    const char *where;
    unsigned known;
    bool good;
};

struct fields fields_of(json_t *object, const char *where, struct problem *problem);
double fields_number(struct fields *fields, const char *name, double least, double most, double otherwise);
uint64_t fields_whole(struct fields *fields, const char *name, uint64_t least, uint64_t most, int64_t otherwise);
const char *fields_text(struct fields *fields, const char *name, const char *otherwise);
json_t *fields_list(struct fields *fields, const char *name, bool needed);
bool fields_done(struct fields *fields);

/* `otherwise` of a member that must be there. */
enum { REQUIRED = -1 };

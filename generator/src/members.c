#include "members.h"

#include <math.h>

struct members members_of(json_t *object, const char *where, struct problem *problem)
{
    struct members members = {.object = object, .problem = problem, .where = where, .good = true};
    if (!json_is_object(object))
        members.good = problem_set(problem, where, "expected an object");
    return members;
}

static json_t *member(struct members *members, const char *name, bool needed)
{
    json_t *value = members->good ? json_object_get(members->object, name) : NULL;
    if (value != NULL)
        members->read++;
    else if (needed && members->good)
        members->good = problem_set(members->problem, name, "missing in %s", members->where);
    return value;
}

double members_number(struct members *members, const char *name, double min, double max, double fallback)
{
    json_t *value = member(members, name, fallback < 0);
    if (value == NULL)
        return fallback;
    double number = json_number_value(value);
    if (!json_is_number(value) || !isfinite(number) || number < min || number > max) {
        members->good = problem_set(members->problem, name, "expected a number from %g to %g", min, max);
        return min;
    }
    return number;
}

uint64_t members_integer(struct members *members, const char *name, uint64_t min, uint64_t max, int64_t fallback)
{
    json_t *value = member(members, name, fallback < 0);
    if (value == NULL)
        return (uint64_t)(fallback < 0 ? (int64_t)min : fallback);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
        members->good = problem_set(members->problem, name, "expected a whole number from %llu to %llu",
                                   (unsigned long long)min, (unsigned long long)max);
        return min;
    }
    return (uint64_t)number;
}

const char *members_string(struct members *members, const char *name, const char *fallback)
{
    json_t *value = member(members, name, fallback == NULL);
    if (value == NULL)
        return fallback == NULL ? "" : fallback;
    if (!json_is_string(value)) {
        members->good = problem_set(members->problem, name, "expected a string");
        return "";
    }
    return json_string_value(value);
}

json_t *members_array(struct members *members, const char *name, bool needed)
{
    json_t *value = member(members, name, needed);
    if (value != NULL && !json_is_array(value)) {
        members->good = problem_set(members->problem, name, "expected a list");
        return NULL;
    }
    return value;
}

bool members_complete(struct members *members)
{
    if (members->good && json_object_size(members->object) > members->read)
        members->good = problem_set(members->problem, members->where, "unknown members");
    return members->good;
}

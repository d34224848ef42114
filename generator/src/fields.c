#include "fields.h"

#include <math.h>

struct fields fields_of(json_t *object, const char *where, struct problem *problem)
{
    struct fields fields = {.object = object, .problem = problem, .where = where, .good = true};
    if (!json_is_object(object))
        fields.good = problem_set(problem, where, "expected an object");
    return fields;
}

static json_t *take(struct fields *fields, const char *name, bool needed)
{
    json_t *value = fields->good ? json_object_get(fields->object, name) : NULL;
    if (value != NULL)
        fields->known++;
    else if (needed && fields->good)
        fields->good = problem_set(fields->problem, name, "%s needs it", fields->where);
    return value;
}

double fields_number(struct fields *fields, const char *name, double least, double most, double otherwise)
{
    json_t *value = take(fields, name, otherwise < 0);
    if (value == NULL)
        return otherwise;
    double number = json_number_value(value);
    if (!json_is_number(value) || !isfinite(number) || number < least || number > most) {
        fields->good = problem_set(fields->problem, name, "expected a number from %g to %g", least, most);
        return least;
    }
    return number;
}

uint64_t fields_whole(struct fields *fields, const char *name, uint64_t least, uint64_t most, int64_t otherwise)
{
    json_t *value = take(fields, name, otherwise < 0);
    if (value == NULL)
        return (uint64_t)(otherwise < 0 ? (int64_t)least : otherwise);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < least || (uint64_t)number > most) {
        fields->good = problem_set(fields->problem, name, "expected a whole number from %llu to %llu",
                                   (unsigned long long)least, (unsigned long long)most);
        return least;
    }
    return (uint64_t)number;
}

const char *fields_text(struct fields *fields, const char *name, const char *otherwise)
{
    json_t *value = take(fields, name, otherwise == NULL);
    if (value == NULL)
        return otherwise == NULL ? "" : otherwise;
    if (!json_is_string(value)) {
        fields->good = problem_set(fields->problem, name, "expected a text");
        return "";
    }
    return json_string_value(value);
}

json_t *fields_list(struct fields *fields, const char *name, bool needed)
{
    json_t *value = take(fields, name, needed);
    if (value != NULL && !json_is_array(value)) {
        fields->good = problem_set(fields->problem, name, "expected a list");
        return NULL;
    }
    return value;
}

bool fields_done(struct fields *fields)
{
    if (fields->good && json_object_size(fields->object) > fields->known)
        fields->good = problem_set(fields->problem, fields->where, "it has members that mean nothing here");
    return fields->good;
}

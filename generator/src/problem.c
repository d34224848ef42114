#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

bool problem_set(struct problem *problem, const char *where, const char *format, ...)
{
    if (problem->text[0] != '\0')
        return false;
    snprintf(problem->where, sizeof problem->where, "%s", where);
    va_list values;
    va_start(values, format);
    vsnprintf(problem->text, sizeof problem->text, format, values);
    va_end(values);
    return false;
}

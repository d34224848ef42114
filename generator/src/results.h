/* Counters of a trial as JSON. */
#pragma once

#include <jansson.h>

json_t *results_json(void);
json_t *progress_json(void);

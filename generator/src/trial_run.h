/* Start, stop and end of a trial. */
#pragma once

#include <stdbool.h>

#include "problem.h"
#include "trial.h"

bool trial_start(const struct trial_config *config, struct problem *problem);
void trial_stop(void);
bool trial_is_running(void);

/* Advance a running trial; true when it has just ended. */
bool trial_poll(void);

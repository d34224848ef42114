#include "trial.h"

struct trial trial;

double trial_due(double pps, double cycles)
{
    double seconds = cycles / trial.hz, ramp = trial.config.ramp;
    if (seconds < ramp) /* the integral of a linear ramp */
        return pps * seconds * seconds / (2 * ramp);
    return pps * (seconds - ramp / 2);
}

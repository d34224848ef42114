#pragma once

#include <stdbool.h>

#include "port.h"

/* Receive one burst from each queue of a port; true when any frame was there. */
bool receive(struct port *port);

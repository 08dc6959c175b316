// Moved to base/slot.h.
#pragma once

#include "base/slot.h"

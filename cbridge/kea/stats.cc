#include "stats.h"

#include <stats/stats_mgr.h>

using isc::stats::StatsMgr;

int kb_stats_set(const char* name, int64_t value) {
    return pyd2::guarded(-1, [&] {
        StatsMgr::instance().setValue(name, value);
        return 0;
    });
}

int kb_stats_value(const char* name, int64_t* value) {
    return pyd2::guarded(-1, [&] {
        const isc::stats::ObservationPtr found = StatsMgr::instance().getObservation(name);
        if (!found) {
            return 0;
        }
        *value = found->getInteger().first;
        return 1;
    });
}

int kb_stats_reset(const char* name) {
    return pyd2::guarded(-1, [&] {
        if (name == nullptr) {
            StatsMgr::instance().resetAll();
            return 1;
        }
        return StatsMgr::instance().reset(name) ? 1 : 0;
    });
}

kb_element* kb_stats_all(void) {
    return pyd2::guarded<kb_element*>(nullptr, [] { return pyd2::wrap(StatsMgr::instance().getAll()); });
}

// Libraries that cannot be loaded; -DFAULT=... says why. No Kea is needed to compile them.
extern "C" {

#if FAULT == 1  // another version
int version() {
    return 20602;
}
#elif FAULT == 3  // a symbol that is nowhere
int nowhere();
int version() {
    return nowhere();
}
#elif FAULT == 4  // a version that throws
int version() {
    throw 1;
}
#else  // 2: no version at all
int load(void*) {
    return 0;
}
#endif
}

/* Included first when SQLite's binding is compiled (tools/setup.mjs). Since Node 24.19, node_object_wrap.h registers a cleanup hook for every
 * wrapped object and removes it when the object is collected; a collection that runs while no JavaScript does then aborts the process
 * (https://github.com/nodejs/node/issues/65446). This takes the hooks out of ObjectWrap and leaves everything else as it is. */
#include <node.h>
namespace node {
inline void LeaveOutCleanupHook(v8::Isolate*, void (*)(void*), void*) {}
}
#define AddEnvironmentCleanupHook LeaveOutCleanupHook
#define RemoveEnvironmentCleanupHook LeaveOutCleanupHook
#include <node_object_wrap.h>
#undef AddEnvironmentCleanupHook
#undef RemoveEnvironmentCleanupHook

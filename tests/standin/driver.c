/* A driver library with no GPU behind it: libcuda.so.1 for tests of what the host does.

"Device" memory is memory of the host, so copies and fills really happen. Kernels do not run: their launches are written
down, each with its arguments as the machine code declares them. As with a slow GPU, what is asked for waits in a queue
until somebody waits for it: who reads too early, or writes too early into memory that a copy still reads, is seen.

Settings, from the environment:
    STANDIN_VERSION   what cuDriverGetVersion says (13000)
    STANDIN_DEVICES   number of GPUs (1)
    STANDIN_CC        their compute capability (90)
    STANDIN_MEMORY    bytes of each (1 GiB)
*/

#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef uint64_t Pointer; /* into device memory */

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900,
};

/* One thread at a time is in the library; the log, the queue and all that is counted are common to all. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
#define TURN \
    __attribute__((cleanup(leave))) int in_turn = enter(); \
    (void)in_turn
static int enter(void) { return pthread_mutex_lock(&turn); }
static void leave(int *in_turn) { (void)in_turn, pthread_mutex_unlock(&turn); }

static long setting(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : otherwise;
}

/* The log: a line per call that the host side is tested for. */

static struct {
    char *text;
    size_t used, room;
    int paused;
} journal;

static void say(const char *format, ...) {
    if (journal.paused) return;
    for (;;) {
        va_list arguments;
        va_start(arguments, format);
        size_t left = journal.room - journal.used;
        size_t length = (size_t)vsnprintf(journal.text ? journal.text + journal.used : NULL, left, format, arguments);
        va_end(arguments);
        if (length < left) {
            journal.used += length;
            return;
        }
        journal.room = 2 * journal.room + length + 4096;
        journal.text = realloc(journal.text, journal.room);
    }
}

const char *standin_log(void) { return journal.used ? journal.text : ""; }
void standin_clear(void) { journal.used = 0; }
void standin_pause(int paused) { journal.paused = paused; }

/* Failures on request: the named call returns a status once it was let through some times. A fault stays. */

static struct {
    char name[64];
    int status, let_through;
} wanted;
static int fault, fault_in_next_launch;

void standin_fail(const char *name, int status, int let_through) {
    snprintf(wanted.name, sizeof wanted.name, "%s", name);
    wanted.status = status;
    wanted.let_through = let_through;
}
void standin_fault(int status) { fault_in_next_launch = status; }

/* What one kernel would have computed: a number, which is written where one of its parameters points to. */

static struct {
    char name[64];
    int parameter;
    double value;
} pretended;

void standin_pretend(const char *name, int parameter, double value) {
    snprintf(pretended.name, sizeof pretended.name, "%s", name);
    pretended.parameter = parameter;
    pretended.value = value;
}

static Result failure(const char *name) {
    if (fault) return fault;
    if (strcmp(name, wanted.name) || wanted.let_through-- > 0) return SUCCESS;
    wanted.name[0] = 0;
    return wanted.status;
}
#define MAY_FAIL \
    do { \
        Result failed = failure(__func__); \
        if (failed) return failed; \
    } while (0)

/* Devices and contexts: a context per device, and a stack of current ones per thread. */

typedef struct {
    int device;
    size_t used;
} Context;

enum { MOST_DEVICES = 8 };
static Context contexts[MOST_DEVICES] = {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}};
static __thread Context *stack[16];
static __thread int depth; /* of the stack; its top is the current context */

static Context *current(void) { return depth ? stack[depth - 1] : NULL; }
static int devices(void) { return (int)setting("STANDIN_DEVICES", 1); }
static size_t memory(void) { return (size_t)setting("STANDIN_MEMORY", 1L << 30); }
#define IN_CONTEXT \
    do { \
        if (!current()) return INVALID_CONTEXT; \
    } while (0)

Result cuInit(unsigned flags) { return (void)flags, devices() ? SUCCESS : NO_DEVICE; }
Result cuDriverGetVersion(int *version) { return *version = (int)setting("STANDIN_VERSION", 13000), SUCCESS; }
Result cuDeviceGetCount(int *count) { return *count = devices(), SUCCESS; }
Result cuDeviceGet(int *device, int ordinal) {
    return ordinal < devices() ? (*device = ordinal, SUCCESS) : INVALID_DEVICE;
}
Result cuDeviceGetName(char *name, int length, int device) {
    return snprintf(name, (size_t)length, "Stand-in %d", device), SUCCESS;
}
Result cuDeviceGetUuid(char *uuid, int device) { return memset(uuid, device + 1, 16), SUCCESS; }
Result cuDeviceTotalMem(size_t *bytes, int device) { return (void)device, *bytes = memory(), SUCCESS; }
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    switch (attribute) {
        case 1: return *value = 1024, SUCCESS;                          /* threads of a block */
        case 8: return *value = 49152, SUCCESS;                         /* bytes of shared memory of a block */
        case 10: return *value = 32, SUCCESS;                           /* threads of a warp */
        case 16: return *value = 132, SUCCESS;                          /* multiprocessors */
        case 75: return *value = (int)setting("STANDIN_CC", 90) / 10, SUCCESS;
        case 76: return *value = (int)setting("STANDIN_CC", 90) % 10, SUCCESS;
        case 97: return *value = 232448, SUCCESS;                       /* the same with permission */
        default: return *value = 1, SUCCESS;
    }
}
Result cuDevicePrimaryCtxRetain(Context **context, int device) { return *context = &contexts[device], SUCCESS; }
Result cuDevicePrimaryCtxRelease(int device) { return (void)device, SUCCESS; }
Result cuCtxGetCurrent(Context **context) { return *context = current(), SUCCESS; }
Result cuCtxSetCurrent(Context *context) {
    depth -= depth > 0;
    if (context) stack[depth++] = context;
    return SUCCESS;
}
Result cuCtxPushCurrent(Context *context) { return stack[depth++] = context, SUCCESS; }
Result cuCtxPopCurrent(Context **context) {
    IN_CONTEXT;
    if (context) *context = current();
    return depth--, SUCCESS;
}
Result cuCtxGetDevice(int *device) {
    IN_CONTEXT;
    return *device = current()->device, SUCCESS;
}
Result cuCtxGetApiVersion(Context *context, unsigned *version) { return (void)context, *version = 13000, SUCCESS; }

/* Memory. */

typedef struct Allocation {
    struct Allocation *next;
    Context *context;
    char *start;
    size_t bytes;
} Allocation;
static Allocation *allocations;

static Allocation *holder(Pointer pointer) {
    for (Allocation *a = allocations; a; a = a->next)
        if (pointer >= (Pointer)a->start && pointer < (Pointer)a->start + a->bytes) return a;
    return NULL;
}
Result cuMemGetInfo(size_t *available, size_t *total) {
    TURN;
    IN_CONTEXT;
    *total = memory();
    return *available = memory() - current()->used, SUCCESS;
}
Result cuMemAlloc(Pointer *pointer, size_t bytes) {
    TURN;
    IN_CONTEXT;
    MAY_FAIL;
    if (current()->used + bytes > memory()) return OUT_OF_MEMORY;
    Allocation *a = malloc(sizeof *a);
    *a = (Allocation){allocations, current(), aligned_alloc(512, (bytes + 511) / 512 * 512), bytes};
    memset(a->start, 0xa5, bytes);
    allocations = a;
    a->context->used += bytes;
    say("alloc %zu\n", bytes);
    return *pointer = (Pointer)a->start, SUCCESS;
}
static void finish(long upto);
static long asked;
Result cuMemFree(Pointer pointer) {
    TURN;
    finish(asked); /* a GPU, too, is waited for here */
    for (Allocation **link = &allocations; *link; link = &(*link)->next)
        if ((*link)->start == (char *)pointer) {
            Allocation *a = *link;
            *link = a->next;
            a->context->used -= a->bytes;
            say("free %zu\n", a->bytes);
            free(a->start), free(a);
            return SUCCESS;
        }
    return INVALID_VALUE;
}
Result cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags) {
    TURN;
    (void)flags;
    IN_CONTEXT;
    MAY_FAIL;
    say("pin %zu\n", bytes);
    return *pointer = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096), SUCCESS;
}
Result cuMemFreeHost(void *pointer) {
    TURN;
    finish(asked);
    say("unpin\n");
    return free(pointer), SUCCESS;
}
static Result attribute_of(void *value, int attribute, Pointer pointer) {
    Allocation *a = holder(pointer);
    switch (attribute) {
        case 1: return a ? (*(Context **)value = a->context, SUCCESS) : INVALID_VALUE;
        case 2: return a ? (*(int *)value = 2, SUCCESS) : INVALID_VALUE; /* it is device memory */
        case 3: return *(Pointer *)value = pointer, SUCCESS;
        case 8: return *(int *)value = 0, SUCCESS; /* it is not managed */
        case 9: return a ? (*(int *)value = a->context->device, SUCCESS) : INVALID_VALUE;
        default: return NOT_SUPPORTED;
    }
}
Result cuPointerGetAttribute(void *value, int attribute, Pointer pointer) {
    TURN;
    return attribute_of(value, attribute, pointer);
}
Result cuPointerGetAttributes(unsigned count, int *attributes, void **values, Pointer pointer) {
    TURN;
    for (unsigned i = 0; i < count; i++)
        if (attribute_of(values[i], attributes[i], pointer)) memset(values[i], 0, sizeof(int));
    return SUCCESS;
}

/* Work: what a stream is asked for. It is done when somebody waits for it. */

typedef struct Work {
    struct Work *next;
    enum { COPY, FILL, LAUNCH } kind;
    Pointer to, from;
    size_t bytes;                              /* of a copy */
    size_t width, height, pitch, size, value;  /* of a fill: elements of a row, rows, bytes between rows and of elements */
} Work;
typedef struct {
    Work *first, **end;
} List;
typedef struct {
    List nodes;
    int count;
} Graph;
typedef struct {
    Context *context;
    Graph *captures; /* while it does */
} Stream;
typedef struct {
    long position; /* in the queue */
} Event;

static List queue = {NULL, &queue.first};
static long done; /* asked: how much work was put into the queue; done: how much of it was taken out */

static void append(List *list, Work work) {
    Work *copy = malloc(sizeof work);
    *copy = work;
    copy->next = NULL;
    *list->end = copy;
    list->end = &copy->next;
}
static void perform(const Work *work) {
    if (work->kind == COPY) memmove((void *)work->to, (void *)work->from, work->bytes);
    if (work->kind == FILL)
        for (size_t row = 0; row < work->height; row++)
            for (size_t i = 0; i < work->width; i++)
                memcpy((char *)work->to + row * work->pitch + i * work->size, &work->value, work->size);
    if (work->kind == LAUNCH && fault_in_next_launch) fault = fault_in_next_launch;
    if (work->kind == LAUNCH && work->to)
        for (size_t i = 0; i < work->size; i++) ((double *)work->to)[i] = pretended.value;
}
static void finish(long upto) {
    while (done < upto && !fault) {
        Work *work = queue.first;
        perform(work);
        queue.first = work->next;
        if (!queue.first) queue.end = &queue.first;
        free(work);
        done++;
    }
}
void standin_heal(void) { /* what a fault kept from being done never will be: its memory may be gone */
    TURN;
    int lost = fault;
    fault = fault_in_next_launch = wanted.name[0] = 0;
    while (lost && queue.first) {
        Work *work = queue.first;
        queue.first = work->next;
        free(work);
        done++;
    }
    if (!queue.first) queue.end = &queue.first;
}
static Result ask(Stream *stream, Work work) {
    if (stream && stream->captures) return append(&stream->captures->nodes, work), stream->captures->count++, SUCCESS;
    return append(&queue, work), asked++, SUCCESS;
}
static const char *how(const Stream *stream) { return stream && stream->captures ? "captured" : "direct"; }

static Result copy(const char *kind, Pointer to, Pointer from, size_t bytes, Stream *stream) {
    if (!bytes) return INVALID_VALUE; /* a real driver may let it pass */
    say("copy %s %s %zu %lu %lu\n", kind, how(stream), bytes, to, from);
    return ask(stream, (Work){.kind = COPY, .to = to, .from = from, .bytes = bytes});
}
#define COPIES(name, kind) \
    Result name(Pointer to, Pointer from, size_t bytes, Stream *stream) { \
        TURN; \
        IN_CONTEXT; \
        MAY_FAIL; \
        return copy(kind, to, from, bytes, stream); \
    }
COPIES(cuMemcpyHtoDAsync, "in")
COPIES(cuMemcpyDtoHAsync, "out")
COPIES(cuMemcpyDtoDAsync, "within")

static Result fill(Pointer to, size_t pitch, size_t value, size_t size, size_t width, size_t height, Stream *stream) {
    if (!width || !height) return INVALID_VALUE;
    say("fill %s %zu\n", how(stream), size * width * height);
    Work work = {.kind = FILL, .to = to, .width = width, .height = height, .pitch = pitch, .size = size, .value = value};
    return ask(stream, work);
}
#define FILLS(name, type) \
    Result name(Pointer to, type value, size_t count, Stream *stream) { \
        TURN; \
        IN_CONTEXT; \
        MAY_FAIL; \
        return fill(to, 0, value, sizeof value, count, 1, stream); \
    }
FILLS(cuMemsetD8Async, unsigned char)
FILLS(cuMemsetD16Async, unsigned short)
FILLS(cuMemsetD32Async, unsigned)
Result cuMemsetD2D32Async(Pointer to, size_t pitch, unsigned value, size_t width, size_t height, Stream *stream) {
    TURN;
    IN_CONTEXT;
    MAY_FAIL;
    return fill(to, pitch, value, sizeof value, width, height, stream);
}

Result cuStreamCreate(Stream **stream, unsigned flags) {
    TURN;
    (void)flags;
    IN_CONTEXT;
    *stream = malloc(sizeof **stream);
    **stream = (Stream){current(), NULL};
    return SUCCESS;
}
Result cuStreamCreateWithPriority(Stream **stream, unsigned flags, int priority) {
    return (void)priority, cuStreamCreate(stream, flags);
}
Result cuStreamDestroy(Stream *stream) { return free(stream), SUCCESS; }
Result cuStreamSynchronize(Stream *stream) {
    TURN;
    IN_CONTEXT;
    if (stream && stream->captures) return CAPTURE_UNSUPPORTED;
    finish(asked);
    say("wait\n");
    return failure(__func__);
}
Result cuStreamWaitEvent(Stream *stream, Event *event, unsigned flags) {
    TURN;
    (void)stream, (void)event, (void)flags; /* one queue: what is asked for later comes later */
    say("order\n");
    return SUCCESS;
}
Result cuEventCreate(Event **event, unsigned flags) {
    (void)flags;
    IN_CONTEXT;
    return *event = calloc(1, sizeof **event), SUCCESS;
}
Result cuEventDestroy(Event *event) { return free(event), SUCCESS; }
Result cuEventRecord(Event *event, Stream *stream) {
    TURN;
    (void)stream;
    MAY_FAIL;
    return event->position = asked, SUCCESS;
}
Result cuEventQuery(Event *event) {
    TURN;
    IN_CONTEXT;
    return event->position <= done ? failure(__func__) : NOT_READY;
}
Result cuEventSynchronize(Event *event) {
    TURN;
    IN_CONTEXT;
    finish(event->position);
    return failure(__func__);
}

/* Machine code: which kernels there are in a cubin (an ELF file), and what parameters each takes. */

enum { MOST_PARAMETERS = 512, SIZED_VALUE = 4, PARAMETER = 0x17 };

typedef struct Function {
    struct Function *next;
    int loaded, count;
    unsigned short sizes[MOST_PARAMETERS], offsets[MOST_PARAMETERS];
    char name[];
} Function;
typedef struct {
    Function *functions;
} Library;

static void read_parameters(Function *function, const unsigned char *at, const unsigned char *end) {
    while (at + 4 <= end) { /* entries: format, attribute, a 16-bit value or the size of what follows */
        unsigned short size;
        memcpy(&size, at + 2, sizeof size);
        if (at[0] == SIZED_VALUE && at[1] == PARAMETER) {
            unsigned short ordinal, offset;
            unsigned bits;
            memcpy(&ordinal, at + 8, sizeof ordinal);
            memcpy(&offset, at + 10, sizeof offset);
            memcpy(&bits, at + 12, sizeof bits);
            function->offsets[ordinal] = offset;
            function->sizes[ordinal] = (unsigned short)(bits >> 18);
            if (ordinal >= function->count) function->count = ordinal + 1;
        }
        at += 4 + (at[0] == SIZED_VALUE ? size : 0);
    }
}
Result cuLibraryLoadData(Library **library, const unsigned char *image, int *o, void **v, unsigned n, int *lo, void **lv,
                         unsigned ln) {
    TURN;
    (void)o, (void)v, (void)n, (void)lo, (void)lv, (void)ln;
    MAY_FAIL;
    const Elf64_Ehdr *header = (const void *)image;
    const Elf64_Shdr *sections = (const void *)(image + header->e_shoff);
    const char *names = (const char *)image + sections[header->e_shstrndx].sh_offset, *prefix = ".nv.info.";
    *library = calloc(1, sizeof **library);
    for (int i = 0; i < header->e_shnum; i++) {
        const char *name = names + sections[i].sh_name;
        if (strncmp(name, prefix, strlen(prefix))) continue;
        name += strlen(prefix);
        Function *function = calloc(1, sizeof *function + strlen(name) + 1);
        strcpy(function->name, name);
        const unsigned char *info = image + sections[i].sh_offset;
        read_parameters(function, info, info + sections[i].sh_size);
        function->next = (*library)->functions;
        (*library)->functions = function;
    }
    say("load\n");
    return SUCCESS;
}
Result cuLibraryUnload(Library *library) { return (void)library, SUCCESS; }
Result cuLibraryGetKernel(Function **kernel, Library *library, const char *name) {
    for (*kernel = library->functions; *kernel; *kernel = (*kernel)->next)
        if (!strcmp((*kernel)->name, name)) return SUCCESS;
    return NOT_FOUND;
}
Result cuKernelGetFunction(Function **function, Function *kernel) {
    TURN;
    IN_CONTEXT;
    MAY_FAIL;
    kernel->loaded = 1;
    return *function = kernel, SUCCESS;
}
Result cuKernelGetLibrary(Library **library, Function *kernel) { return (void)kernel, (void)library, NOT_SUPPORTED; }
Result cuKernelGetParamInfo(Function *kernel, size_t index, size_t *offset, size_t *size) {
    if (index >= (size_t)kernel->count) return INVALID_VALUE;
    return *offset = kernel->offsets[index], *size = kernel->sizes[index], SUCCESS;
}
Result cuFuncSetAttribute(Function *function, int attribute, int value) {
    TURN;
    say("attribute %s %d %d\n", function->name, attribute, value);
    return SUCCESS;
}
Result cuLaunchKernel(Function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared, Stream *stream, void **arguments, void **extra) {
    TURN;
    (void)extra;
    IN_CONTEXT;
    MAY_FAIL;
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by * bz > 1024) return INVALID_VALUE;
    if (stream && stream->captures && !function->loaded) return CAPTURE_UNSUPPORTED; /* it would be loaded now */
    say("launch %s %s %u,%u,%u %u,%u,%u %u ", function->name, how(stream), gx, gy, gz, bx, by, bz, shared);
    for (int i = 0; i < function->count; i++) {
        say(i ? "," : "");
        for (int byte = 0; byte < function->sizes[i]; byte++) say("%02x", ((unsigned char *)arguments[i])[byte]);
    }
    say("\n");
    int known = pretended.name[0] && strstr(function->name, pretended.name);
    Pointer *pointer = known ? arguments[pretended.parameter] : NULL;
    size_t *elements = known ? arguments[pretended.parameter - 2] : NULL;
    return ask(stream, (Work){.kind = LAUNCH, .to = known ? *pointer : 0, .size = known ? *elements : 0});
}

/* Graphs. */

Result cuStreamBeginCapture(Stream *stream, int mode) {
    TURN;
    MAY_FAIL;
    if (stream->captures) return INVALID_VALUE;
    stream->captures = calloc(1, sizeof *stream->captures);
    stream->captures->nodes.end = &stream->captures->nodes.first;
    say("capture %d\n", mode);
    return SUCCESS;
}
Result cuStreamEndCapture(Stream *stream, Graph **graph) {
    TURN;
    *graph = stream->captures;
    stream->captures = NULL;
    return failure(__func__);
}
Result cuStreamIsCapturing(Stream *stream, int *status) { return *status = stream && stream->captures, SUCCESS; }
Result cuGraphInstantiateWithFlags(Graph **executable, Graph *graph, uint64_t flags) {
    TURN;
    (void)flags;
    MAY_FAIL;
    *executable = calloc(1, sizeof **executable);
    (*executable)->nodes.end = &(*executable)->nodes.first;
    (*executable)->count = graph->count;
    for (Work *work = graph->nodes.first; work; work = work->next) append(&(*executable)->nodes, *work);
    say("instantiate %d\n", graph->count);
    return SUCCESS;
}
static void destroy(Graph *graph) {
    for (Work *work = graph->nodes.first, *next; work; work = next) next = work->next, free(work);
    free(graph);
}
Result cuGraphDestroy(Graph *graph) {
    TURN;
    return destroy(graph), SUCCESS;
}
Result cuGraphExecDestroy(Graph *executable) {
    TURN;
    say("destroy\n");
    return destroy(executable), SUCCESS;
}
Result cuGraphUpload(Graph *executable, Stream *stream) { return (void)executable, (void)stream, SUCCESS; }
Result cuGraphLaunch(Graph *executable, Stream *stream) {
    TURN;
    IN_CONTEXT;
    MAY_FAIL;
    say("graph %d\n", executable->count);
    for (Work *work = executable->nodes.first; work; work = work->next) ask(stream, *work);
    return SUCCESS;
}

/* How callers find all this, and what fails is called. */

Result cuGetErrorName(int status, const char **name) {
    static __thread char text[32];
    snprintf(text, sizeof text, "STANDIN_ERROR_%d", status);
    return *name = text, SUCCESS;
}
Result cuGetErrorString(int status, const char **text) { return (void)status, *text = "as the test wants it", SUCCESS; }

static Result unsupported(void) { return NOT_SUPPORTED; }

Result cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *found) {
    (void)version, (void)flags;
    static void *self;
    if (!self) {
        Dl_info info;
        dladdr((void *)cuGetProcAddress_v2, &info);
        self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    }
    *function = dlsym(self, !strcmp(name, "cuGetProcAddress") ? "cuGetProcAddress_v2" : name);
    if (!*function && !strcmp(name, "cuGraphInstantiate")) *function = (void *)cuGraphInstantiateWithFlags;
    if (!*function) *function = (void *)unsupported;
    if (found) *found = 0;
    return SUCCESS;
}
Result cuGetProcAddress(const char *name, void **function, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, function, version, flags, NULL);
}

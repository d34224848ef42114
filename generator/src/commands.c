/* One function for each request. */
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_version.h>

#include "commands.h"
#include "members.h"
#include "port.h"
#include "results.h"
#include "stream.h"
#include "trial_run.h"
#include "worker.h"

bool quit_requested;

typedef json_t *command(json_t *request, struct members *members);

static json_t *done(void)
{
    return json_object();
}

static json_t *hello(json_t *request, struct members *members)
{
    if (!members_complete(members))
        return NULL;
    json_t *lcores = json_array();
    for (unsigned i = 0; i < workers_count; i++)
        json_array_append_new(lcores, json_integer(rte_lcore_to_cpu_id((int)workers[i].lcore)));
    return json_pack("{s:i, s:s, s:I, s:o}", "protocol", 1, "dpdk", rte_version(), "tsc_hz", (json_int_t)rte_get_tsc_hz(),
                     "worker_cpus", lcores);
}

static json_t *port_json(const struct port *port)
{
    struct rte_ether_addr mac = {0};
    struct rte_eth_link link = {0};
    char text[RTE_ETHER_ADDR_FMT_SIZE];
    (void)rte_eth_macaddr_get(port->id, &mac);
    (void)rte_eth_link_get_nowait(port->id, &link);
    rte_ether_format_addr(text, sizeof text, &mac);
    bool known = link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN && link.link_speed != RTE_ETH_SPEED_NUM_NONE;
    return json_pack("{s:s, s:s, s:s, s:b, s:i, s:i, s:i, s:i}", "port", port->config.name, "driver",
                     port->info.driver_name ? port->info.driver_name : "", "mac", text, "up", (int)link.link_status,
                     "speed_mbps", known ? (int)link.link_speed : 0, "rx_ring", (int)port->config.rx_ring, "tx_ring",
                     (int)port->config.tx_ring, "mtu", (int)port->config.mtu);
}

static bool copy_text(char *to, size_t size, const char *text, const char *name, struct members *members)
{
    if (members->good && (text[0] == '\0' || strlen(text) >= size))
        members->good = problem_set(members->problem, name, "expected 1 to %zu characters", size - 1);
    if (members->good)
        strcpy(to, text);
    return members->good;
}

static json_t *open_port(json_t *request, struct members *members)
{
    struct port_config config = {0};
    copy_text(config.name, sizeof config.name, members_string(members, "port", NULL), "port", members);
    copy_text(config.device, sizeof config.device, members_string(members, "device", NULL), "device", members);
    config.rx_queues = (unsigned)members_integer(members, "rx_queues", 1, MAX_QUEUES, 1);
    config.tx_queues = (unsigned)members_integer(members, "tx_queues", 1, MAX_QUEUES, 1);
    config.rx_ring = (unsigned)members_integer(members, "rx_ring", 32, 16384, 1024);
    config.tx_ring = (unsigned)members_integer(members, "tx_ring", 32, 16384, 1024);
    config.mtu = (unsigned)members_integer(members, "mtu", 68, 9702, RTE_ETHER_MTU);
    config.worker = (unsigned)members_integer(members, "worker", 0, workers_count - 1, 0);
    config.timeout = (unsigned)members_integer(members, "timeout", 1, 60, 10);
    if (!members_complete(members))
        return NULL;
    struct port *port = port_open(&config, members->problem);
    return port ? port_json(port) : NULL;
}

static struct port *port_of(struct members *members, const char *member, const char *fallback)
{
    const char *name = members_string(members, member, fallback);
    if (!members->good || name[0] == '\0')
        return NULL;
    struct port *port = port_named(name);
    if (port == NULL)
        members->good = problem_set(members->problem, member, "no such port: %.32s", name);
    return port;
}

static json_t *show_port(json_t *request, struct members *members)
{
    const struct port *port = port_of(members, "port", NULL);
    return members_complete(members) && port ? port_json(port) : NULL;
}

static json_t *close_port(json_t *request, struct members *members)
{
    struct port *port = port_of(members, "port", NULL);
    if (!members_complete(members) || port == NULL)
        return NULL;
    for (unsigned i = 0; i < MAX_STREAMS; i++)
        if (streams[i] != NULL && (streams[i]->from == port || streams[i]->to == port)) {
            problem_set(members->problem, "port", "stream %u uses it", i);
            return NULL;
        }
    port_close(port);
    return done();
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool frame_of(json_t *text, struct frame *frame, struct members *members)
{
    const char *hex = json_string_value(text);
    size_t length = hex ? strlen(hex) / 2 : 0;
    if (hex == NULL || strlen(hex) % 2 != 0 || length < 14 + SIGNATURE_SIZE || length > MAX_FRAME)
        return members->good = problem_set(members->problem, "frames", "expected %d to %d bytes in lower-case hexadecimal digits",
                                          14 + SIGNATURE_SIZE, MAX_FRAME);
    frame->data = malloc(length);
    if (frame->data == NULL)
        return members->good = problem_set(members->problem, "frames", "no memory");
    frame->length = (uint16_t)length;
    for (size_t i = 0; i < length; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            free(frame->data);
            return members->good = problem_set(members->problem, "frames", "%.1s%.1s is no byte", hex + 2 * i, hex + 2 * i + 1);
        }
        frame->data[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool add_frames(struct stream *stream, json_t *list, struct members *members)
{
    size_t count = json_array_size(list);
    if (count + stream->frames_count > MAX_FRAMES)
        return members->good = problem_set(members->problem, "frames", "more than %d frames", MAX_FRAMES);
    struct frame *more = realloc(stream->frames, (stream->frames_count + count + 1) * sizeof *more);
    if (more == NULL)
        return members->good = problem_set(members->problem, "frames", "no memory");
    stream->frames = more;
    for (size_t i = 0; i < count; i++) {
        struct frame frame = {0};
        if (!frame_of(json_array_get(list, i), &frame, members))
            return false;
        stream->frames[stream->frames_count++] = frame;
    }
    return true;
}

static bool add_order(struct stream *stream, json_t *list, struct members *members)
{
    size_t count = json_array_size(list);
    if (count + stream->order_count > MAX_FRAMES)
        return members->good = problem_set(members->problem, "order", "more than %d entries", MAX_FRAMES);
    uint32_t *more = realloc(stream->order, (stream->order_count + count + 1) * sizeof *more);
    if (more == NULL)
        return members->good = problem_set(members->problem, "order", "no memory");
    stream->order = more;
    for (size_t i = 0; i < count; i++) {
        json_t *entry = json_array_get(list, i);
        if (!json_is_integer(entry) || json_integer_value(entry) < 0 || json_integer_value(entry) >= MAX_FRAMES)
            return members->good = problem_set(members->problem, "order", "expected numbers of frames");
        stream->order[stream->order_count++] = (uint32_t)json_integer_value(entry);
    }
    return true;
}

static bool add_values(struct field *field, json_t *list, struct members *members)
{
    field->count = json_array_size(list);
    field->values = calloc(field->count + 1, sizeof *field->values);
    if (field->values == NULL || field->count == 0)
        return members->good = problem_set(members->problem, "values", "a list needs values");
    for (size_t i = 0; i < field->count; i++) {
        json_t *value = json_array_get(list, i);
        if (!json_is_integer(value))
            return members->good = problem_set(members->problem, "values", "expected whole numbers");
        field->values[i] = (uint64_t)json_integer_value(value);
    }
    return true;
}

static bool add_field(struct stream *stream, json_t *object, struct members *above)
{
    static const char *const kinds[] = {[FIELD_INCREMENT] = "increment", [FIELD_RANDOM] = "random", [FIELD_LIST] = "list"};
    struct members members = members_of(object, "fields", above->problem);
    struct field *field = &stream->fields[stream->fields_count++]; /* field->values is freed with the stream */
    const char *kind = members_string(&members, "kind", NULL);
    field->kind = FIELD_INCREMENT;
    while (field->kind < FIELD_LIST && strcmp(kinds[field->kind], kind) != 0)
        field->kind++;
    if (members.good && strcmp(kinds[field->kind], kind) != 0)
        members.good = problem_set(above->problem, "kind", "expected increment, random or list");
    field->offset = (uint16_t)members_integer(&members, "offset", 0, MAX_FRAME, REQUIRED);
    field->width = (uint8_t)members_integer(&members, "width", 1, 8, REQUIRED);
    field->every = members_integer(&members, "every", 1, 1ULL << 32, 1);
    if (field->kind == FIELD_LIST) {
        json_t *values = members_array(&members, "values", true);
        if (members.good)
            add_values(field, values, &members);
    } else {
        field->first = members_integer(&members, "first", 0, INT64_MAX, REQUIRED);
        field->step = members_integer(&members, "step", 0, INT64_MAX, 1);
        field->count = members_integer(&members, "count", 1, 1ULL << 32, REQUIRED);
    }
    json_t *checksums = members_array(&members, "checksums", false);
    for (size_t i = 0; members.good && i < json_array_size(checksums); i++) {
        json_t *at = json_array_get(checksums, i);
        if (i == MAX_CHECKSUMS || !json_is_integer(at) || json_integer_value(at) < 0 || json_integer_value(at) > MAX_FRAME)
            members.good = problem_set(above->problem, "checksums", "expected at most %d offsets in the frame", MAX_CHECKSUMS);
        else
            field->checksum_at[field->checksums++] = (uint16_t)json_integer_value(at);
    }
    field->left = field->every;
    return above->good &= members_complete(&members);
}

static struct stream *stream_of(json_t *object, struct problem *problem)
{
    struct members members = members_of(object, "streams", problem);
    struct stream *stream = aligned_alloc(64, sizeof *stream);
    if (stream == NULL) {
        problem_set(problem, "streams", "no memory");
        return NULL;
    }
    memset(stream, 0, sizeof *stream);
    stream->id = (unsigned)members_integer(&members, "stream", 0, MAX_STREAMS - 1, REQUIRED);
    stream->from = port_of(&members, "from", NULL);
    stream->to = port_of(&members, "to", "");
    stream->queue = (unsigned)members_integer(&members, "queue", 0, stream->from ? stream->from->config.tx_queues - 1 : 0, 0);
    stream->worker = (unsigned)members_integer(&members, "worker", 0, workers_count - 1, 0);
    stream->burst = (unsigned)members_integer(&members, "burst", 1, MAX_BURST, 32);
    stream->pps = members_number(&members, "pps", 0, 1e9, REQUIRED);
    stream->slack = members_number(&members, "slack", 0, 1, 100e-6);
    stream->catch_up = members_number(&members, "catch_up", 0, 10, 0.05);
    json_t *frames = members_array(&members, "frames", true), *order = members_array(&members, "order", false),
           *changing = members_array(&members, "fields", false);
    if (members.good && json_array_size(changing) > MAX_FIELDS)
        members.good = problem_set(problem, "fields", "at most %d fields", MAX_FIELDS);
    for (size_t i = 0; members.good && i < json_array_size(changing); i++)
        add_field(stream, json_array_get(changing, i), &members);
    if (members_complete(&members) && add_frames(stream, frames, &members) && add_order(stream, order, &members))
        return stream;
    stream_free(stream);
    return NULL;
}

static bool require_idle(struct members *members)
{
    if (members->good && trial_is_running())
        members->good = problem_set(members->problem, "do", "a trial is running; stop it first");
    return members->good;
}

/* Replace all streams; when one of them is invalid, the old ones stay. */
static json_t *set_streams(json_t *request, struct members *members)
{
    json_t *list = members_array(members, "streams", true);
    if (!members_complete(members) || !require_idle(members))
        return NULL;
    static struct stream *made[MAX_STREAMS];
    memset(made, 0, sizeof made);
    bool good = json_array_size(list) <= MAX_STREAMS || problem_set(members->problem, "streams", "at most %d", MAX_STREAMS);
    for (size_t i = 0; good && i < json_array_size(list); i++) {
        struct stream *stream = stream_of(json_array_get(list, i), members->problem);
        good = stream != NULL;
        if (good && made[stream->id] != NULL) {
            good = problem_set(members->problem, "stream", "number %u is used twice", stream->id);
            stream_free(stream);
        } else if (good)
            made[stream->id] = stream;
    }
    if (good)
        streams_clear();
    for (unsigned i = 0; i < MAX_STREAMS; i++) {
        if (good)
            streams[i] = made[i];
        else
            stream_free(made[i]);
    }
    return good ? done() : NULL;
}

static struct stream *stream_named(struct members *members)
{
    unsigned id = (unsigned)members_integer(members, "stream", 0, MAX_STREAMS - 1, REQUIRED);
    if (members->good && streams[id] == NULL)
        members->good = problem_set(members->problem, "stream", "no such stream: %u", id);
    return members->good ? streams[id] : NULL;
}

/* Append frames to a stream: a request line holds at most MAX_LINE bytes. */
static json_t *append(json_t *request, struct members *members)
{
    struct stream *stream = stream_named(members);
    json_t *frames = members_array(members, "frames", true), *order = members_array(members, "order", false);
    if (!members_complete(members) || !require_idle(members))
        return NULL;
    if (stream->pool != NULL) {
        problem_set(members->problem, "stream", "frames cannot be appended after a trial; set the streams again");
        return NULL;
    }
    return add_frames(stream, frames, members) && add_order(stream, order, members) ? done() : NULL;
}

/* Change the rate of a loaded stream. */
static json_t *set_rate(json_t *request, struct members *members)
{
    struct stream *stream = stream_named(members);
    double pps = members_number(members, "pps", 0, 1e9, REQUIRED);
    if (!members_complete(members) || !require_idle(members))
        return NULL;
    stream->pps = pps;
    return done();
}

static json_t *start(json_t *request, struct members *members)
{
    struct trial_config config = {
        .seconds = members_number(members, "seconds", 0, 1e6, 0),
        .count = members_integer(members, "count", 0, INT64_MAX, 0),
        .ramp = members_number(members, "ramp", 0, 60, 0),
        .drain = members_number(members, "drain", 0, 60, 0.1),
        .stall = members_number(members, "stall", 1e-6, 10, 100e-6),
        .idle_sleep = members_number(members, "idle_sleep", 0, 0.01, 0),
        .realtime = members_integer(members, "realtime", 0, 1, 0) != 0,
    };
    if (members->good && config.seconds == 0 && config.count == 0)
        members->good = problem_set(members->problem, "seconds", "a trial needs seconds or a count");
    if (members->good && config.realtime && config.idle_sleep == 0)
        members->good = problem_set(members->problem, "realtime", "needs idle_sleep: a SCHED_FIFO worker that never sleeps starves its CPU");
    if (members->good && config.ramp > config.seconds)
        members->good = problem_set(members->problem, "ramp", "longer than the trial: the ramp is part of its seconds");
    if (!members_complete(members) || !trial_start(&config, members->problem))
        return NULL;
    return json_pack("{s:i}", "trial", (int)trial.number);
}

static json_t *stop(json_t *request, struct members *members)
{
    if (!members_complete(members))
        return NULL;
    trial_stop();
    return done();
}

static json_t *results(json_t *request, struct members *members)
{
    if (!members_complete(members) || !require_idle(members))
        return NULL;
    return results_json();
}

static json_t *quit(json_t *request, struct members *members)
{
    if (!members_complete(members))
        return NULL;
    quit_requested = true;
    return done();
}

static const struct {
    const char *name;
    command *run;
} commands[] = {
    {"hello", hello}, {"open", open_port}, {"port", show_port}, {"close", close_port}, {"streams", set_streams},
    {"append", append}, {"rate", set_rate}, {"start", start}, {"stop", stop}, {"results", results}, {"quit", quit},
};

json_t *command_answer(json_t *request)
{
    struct problem problem = {0};
    struct members members = members_of(request, "request", &problem);
    const char *name = members_string(&members, "do", NULL);
    json_t *id = json_is_object(request) ? json_object_get(request, "id") : NULL;
    if (id != NULL)
        members.read++;
    members.where = name;
    json_t *answer = NULL;
    command *run = NULL;
    for (size_t i = 0; members.good && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            run = commands[i].run;
    if (members.good && run == NULL)
        problem_set(&problem, "do", "unknown request %.32s", name);
    if (run != NULL)
        answer = run(request, &members);
    if (answer == NULL) {
        for (char *c = problem.text; *c != '\0'; c++) /* the text may quote the request: keep it printable ASCII */
            if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
                *c = '?';
        answer = json_pack("{s:{s:s, s:s}}", "error", "where", problem.where, "text", problem.text);
    }
    if (answer == NULL) /* out of memory */
        answer = json_null();
    else if (id != NULL)
        json_object_set(answer, "id", id);
    return answer;
}

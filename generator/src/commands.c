/* What can be asked: one function for each request. */
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_version.h>

#include "control.h"
#include "fields.h"
#include "port.h"
#include "stream.h"
#include "trial.h"
#include "worker.h"

typedef json_t *command(json_t *request, struct fields *fields);

static json_t *done(void)
{
    return json_object();
}

static json_t *hello(json_t *request, struct fields *fields)
{
    if (!fields_done(fields))
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
    return json_pack("{s:s, s:s, s:s, s:b, s:i, s:i, s:i, s:i}", "port", port->wish.name, "driver",
                     port->info.driver_name ? port->info.driver_name : "", "mac", text, "up", (int)link.link_status,
                     "speed_mbps", known ? (int)link.link_speed : 0, "rx_ring", (int)port->wish.rx_ring, "tx_ring",
                     (int)port->wish.tx_ring, "mtu", (int)port->wish.mtu);
}

static bool copy_text(char *to, size_t size, const char *text, const char *name, struct fields *fields)
{
    if (fields->good && (text[0] == '\0' || strlen(text) >= size))
        fields->good = problem_set(fields->problem, name, "expected 1 to %zu characters", size - 1);
    if (fields->good)
        strcpy(to, text);
    return fields->good;
}

static json_t *open_port(json_t *request, struct fields *fields)
{
    struct port_wish wish = {0};
    copy_text(wish.name, sizeof wish.name, fields_text(fields, "port", NULL), "port", fields);
    copy_text(wish.device, sizeof wish.device, fields_text(fields, "device", NULL), "device", fields);
    wish.rx_queues = (unsigned)fields_whole(fields, "rx_queues", 1, QUEUES_MOST, 1);
    wish.tx_queues = (unsigned)fields_whole(fields, "tx_queues", 1, QUEUES_MOST, 1);
    wish.rx_ring = (unsigned)fields_whole(fields, "rx_ring", 32, 16384, 1024);
    wish.tx_ring = (unsigned)fields_whole(fields, "tx_ring", 32, 16384, 1024);
    wish.mtu = (unsigned)fields_whole(fields, "mtu", 68, 9702, RTE_ETHER_MTU);
    wish.worker = (unsigned)fields_whole(fields, "worker", 0, workers_count - 1, 0);
    wish.patience = (unsigned)fields_whole(fields, "patience", 1, 60, 10);
    if (!fields_done(fields))
        return NULL;
    struct port *port = port_open(&wish, fields->problem);
    return port ? port_json(port) : NULL;
}

static struct port *port_of(struct fields *fields, const char *member, const char *otherwise)
{
    const char *name = fields_text(fields, member, otherwise);
    if (!fields->good || name[0] == '\0')
        return NULL;
    struct port *port = port_named(name);
    if (port == NULL)
        fields->good = problem_set(fields->problem, member, "there is no port %.32s", name);
    return port;
}

static json_t *show_port(json_t *request, struct fields *fields)
{
    const struct port *port = port_of(fields, "port", NULL);
    return fields_done(fields) && port ? port_json(port) : NULL;
}

static json_t *close_port(json_t *request, struct fields *fields)
{
    struct port *port = port_of(fields, "port", NULL);
    if (!fields_done(fields) || port == NULL)
        return NULL;
    for (unsigned i = 0; i < STREAMS_MOST; i++)
        if (streams[i] != NULL && (streams[i]->from == port || streams[i]->to == port)) {
            problem_set(fields->problem, "port", "stream %u uses it", i);
            return NULL;
        }
    port_close(port);
    return done();
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool frame_of(json_t *text, struct frame *frame, struct fields *fields)
{
    const char *hex = json_string_value(text);
    size_t length = hex ? strlen(hex) / 2 : 0;
    if (hex == NULL || strlen(hex) % 2 != 0 || length < 14 + SIGNATURE_SIZE || length > FRAME_MOST)
        return fields->good = problem_set(fields->problem, "frames", "expected %d to %d bytes in lower-case hexadecimal digits",
                                          14 + SIGNATURE_SIZE, FRAME_MOST);
    frame->data = malloc(length);
    if (frame->data == NULL)
        return fields->good = problem_set(fields->problem, "frames", "no memory");
    frame->length = (uint16_t)length;
    for (size_t i = 0; i < length; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            free(frame->data);
            return fields->good = problem_set(fields->problem, "frames", "%.1s%.1s is no byte", hex + 2 * i, hex + 2 * i + 1);
        }
        frame->data[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool add_frames(struct stream *stream, json_t *list, struct fields *fields)
{
    size_t count = json_array_size(list);
    if (count + stream->frames_count > FRAMES_MOST)
        return fields->good = problem_set(fields->problem, "frames", "more than %d frames", FRAMES_MOST);
    struct frame *more = realloc(stream->frames, (stream->frames_count + count + 1) * sizeof *more);
    if (more == NULL)
        return fields->good = problem_set(fields->problem, "frames", "no memory");
    stream->frames = more;
    for (size_t i = 0; i < count; i++) {
        struct frame frame = {0};
        if (!frame_of(json_array_get(list, i), &frame, fields))
            return false;
        stream->frames[stream->frames_count++] = frame;
    }
    return true;
}

static bool add_order(struct stream *stream, json_t *list, struct fields *fields)
{
    size_t count = json_array_size(list);
    if (count + stream->order_count > FRAMES_MOST)
        return fields->good = problem_set(fields->problem, "order", "more than %d places", FRAMES_MOST);
    uint32_t *more = realloc(stream->order, (stream->order_count + count + 1) * sizeof *more);
    if (more == NULL)
        return fields->good = problem_set(fields->problem, "order", "no memory");
    stream->order = more;
    for (size_t i = 0; i < count; i++) {
        json_t *place = json_array_get(list, i);
        if (!json_is_integer(place) || json_integer_value(place) < 0 || json_integer_value(place) >= FRAMES_MOST)
            return fields->good = problem_set(fields->problem, "order", "expected numbers of frames");
        stream->order[stream->order_count++] = (uint32_t)json_integer_value(place);
    }
    return true;
}

static bool add_values(struct field *field, json_t *list, struct fields *fields)
{
    field->count = json_array_size(list);
    field->values = calloc(field->count + 1, sizeof *field->values);
    if (field->values == NULL || field->count == 0)
        return fields->good = problem_set(fields->problem, "values", "a list needs values");
    for (size_t i = 0; i < field->count; i++) {
        json_t *value = json_array_get(list, i);
        if (!json_is_integer(value))
            return fields->good = problem_set(fields->problem, "values", "expected whole numbers");
        field->values[i] = (uint64_t)json_integer_value(value);
    }
    return true;
}

static bool add_field(struct stream *stream, json_t *object, struct fields *above)
{
    static const char *const kinds[] = {[FIELD_INCREMENT] = "increment", [FIELD_RANDOM] = "random", [FIELD_LIST] = "list"};
    struct fields fields = fields_of(object, "fields", above->problem);
    struct field *field = &stream->fields[stream->fields_count++]; /* its values are freed with the stream */
    const char *kind = fields_text(&fields, "kind", NULL);
    field->kind = FIELD_INCREMENT;
    while (field->kind < FIELD_LIST && strcmp(kinds[field->kind], kind) != 0)
        field->kind++;
    if (fields.good && strcmp(kinds[field->kind], kind) != 0)
        fields.good = problem_set(above->problem, "kind", "expected increment, random or list");
    field->offset = (uint16_t)fields_whole(&fields, "offset", 0, FRAME_MOST, REQUIRED);
    field->width = (uint8_t)fields_whole(&fields, "width", 1, 8, REQUIRED);
    field->every = fields_whole(&fields, "every", 1, 1ULL << 32, 1);
    if (field->kind == FIELD_LIST) {
        json_t *values = fields_list(&fields, "values", true);
        if (fields.good)
            add_values(field, values, &fields);
    } else {
        field->first = fields_whole(&fields, "first", 0, INT64_MAX, REQUIRED);
        field->step = fields_whole(&fields, "step", 0, INT64_MAX, 1);
        field->count = fields_whole(&fields, "count", 1, 1ULL << 32, REQUIRED);
    }
    json_t *checksums = fields_list(&fields, "checksums", false);
    for (size_t i = 0; fields.good && i < json_array_size(checksums); i++) {
        json_t *at = json_array_get(checksums, i);
        if (i == CHECKSUMS_MOST || !json_is_integer(at) || json_integer_value(at) < 0 || json_integer_value(at) > FRAME_MOST)
            fields.good = problem_set(above->problem, "checksums", "expected at most %d offsets in the frame", CHECKSUMS_MOST);
        else
            field->checksum_at[field->checksums++] = (uint16_t)json_integer_value(at);
    }
    field->left = field->every;
    return above->good &= fields_done(&fields);
}

static struct stream *stream_of(json_t *object, struct problem *problem)
{
    struct fields fields = fields_of(object, "streams", problem);
    struct stream *stream = aligned_alloc(64, sizeof *stream);
    if (stream == NULL) {
        problem_set(problem, "streams", "no memory");
        return NULL;
    }
    memset(stream, 0, sizeof *stream);
    stream->id = (unsigned)fields_whole(&fields, "stream", 0, STREAMS_MOST - 1, REQUIRED);
    stream->from = port_of(&fields, "from", NULL);
    stream->to = port_of(&fields, "to", "");
    stream->queue = (unsigned)fields_whole(&fields, "queue", 0, stream->from ? stream->from->wish.tx_queues - 1 : 0, 0);
    stream->worker = (unsigned)fields_whole(&fields, "worker", 0, workers_count - 1, 0);
    stream->burst = (unsigned)fields_whole(&fields, "burst", 1, BURST_MOST, 32);
    stream->pps = fields_number(&fields, "pps", 0, 1e9, REQUIRED);
    stream->slack = fields_number(&fields, "slack", 0, 1, 100e-6);
    stream->make_up = fields_number(&fields, "make_up", 0, 10, 0.05);
    json_t *frames = fields_list(&fields, "frames", true), *order = fields_list(&fields, "order", false),
           *changing = fields_list(&fields, "fields", false);
    if (fields.good && json_array_size(changing) > FIELDS_MOST)
        fields.good = problem_set(problem, "fields", "at most %d fields", FIELDS_MOST);
    for (size_t i = 0; fields.good && i < json_array_size(changing); i++)
        add_field(stream, json_array_get(changing, i), &fields);
    if (fields_done(&fields) && add_frames(stream, frames, &fields) && add_order(stream, order, &fields))
        return stream;
    stream_free(stream);
    return NULL;
}

static bool resting(struct fields *fields)
{
    if (fields->good && trial_is_running())
        fields->good = problem_set(fields->problem, "do", "a trial is running; stop it first");
    return fields->good;
}

/* All streams at once, in place of those before; when one of them is wrong, those before stay. */
static json_t *set_streams(json_t *request, struct fields *fields)
{
    json_t *list = fields_list(fields, "streams", true);
    if (!fields_done(fields) || !resting(fields))
        return NULL;
    static struct stream *made[STREAMS_MOST];
    memset(made, 0, sizeof made);
    bool good = json_array_size(list) <= STREAMS_MOST || problem_set(fields->problem, "streams", "at most %d", STREAMS_MOST);
    for (size_t i = 0; good && i < json_array_size(list); i++) {
        struct stream *stream = stream_of(json_array_get(list, i), fields->problem);
        good = stream != NULL;
        if (good && made[stream->id] != NULL) {
            good = problem_set(fields->problem, "stream", "there are two of number %u", stream->id);
            stream_free(stream);
        } else if (good)
            made[stream->id] = stream;
    }
    if (good)
        streams_clear();
    for (unsigned i = 0; i < STREAMS_MOST; i++) {
        if (good)
            streams[i] = made[i];
        else
            stream_free(made[i]);
    }
    return good ? done() : NULL;
}

static struct stream *chosen(struct fields *fields)
{
    unsigned id = (unsigned)fields_whole(fields, "stream", 0, STREAMS_MOST - 1, REQUIRED);
    if (fields->good && streams[id] == NULL)
        fields->good = problem_set(fields->problem, "stream", "there is no stream %u", id);
    return fields->good ? streams[id] : NULL;
}

/* More frames for a stream, when they do not all fit into one line. */
static json_t *append(json_t *request, struct fields *fields)
{
    struct stream *stream = chosen(fields);
    json_t *frames = fields_list(fields, "frames", true), *order = fields_list(fields, "order", false);
    if (!fields_done(fields) || !resting(fields))
        return NULL;
    if (stream->pool != NULL) {
        problem_set(fields->problem, "stream", "it has been sent already; set the streams again");
        return NULL;
    }
    return add_frames(stream, frames, fields) && add_order(stream, order, fields) ? done() : NULL;
}

/* Another rate for streams that are there; by far the most frequent change. */
static json_t *set_rate(json_t *request, struct fields *fields)
{
    struct stream *stream = chosen(fields);
    double pps = fields_number(fields, "pps", 0, 1e9, REQUIRED);
    if (!fields_done(fields) || !resting(fields))
        return NULL;
    stream->pps = pps;
    return done();
}

static json_t *start(json_t *request, struct fields *fields)
{
    struct trial_wish wish = {
        .seconds = fields_number(fields, "seconds", 0, 1e6, 0),
        .count = fields_whole(fields, "count", 0, INT64_MAX, 0),
        .ramp = fields_number(fields, "ramp", 0, 60, 0),
        .drain = fields_number(fields, "drain", 0, 60, 0.1),
        .stall = fields_number(fields, "stall", 1e-6, 10, 100e-6),
        .nap = fields_number(fields, "nap", 0, 0.01, 0),
        .first = fields_whole(fields, "first", 0, 1, 0) != 0,
    };
    if (fields->good && wish.seconds == 0 && wish.count == 0)
        fields->good = problem_set(fields->problem, "seconds", "a trial needs an end: seconds, or a count");
    if (fields->good && wish.first && wish.nap == 0)
        fields->good = problem_set(fields->problem, "first", "who goes first has to nap, or nobody else gets the CPU");
    if (fields->good && wish.ramp > wish.seconds)
        fields->good = problem_set(fields->problem, "ramp", "it is part of the seconds and cannot be longer");
    if (!fields_done(fields) || !trial_start(&wish, fields->problem))
        return NULL;
    return json_pack("{s:i}", "trial", (int)trial.number);
}

static json_t *stop(json_t *request, struct fields *fields)
{
    if (!fields_done(fields))
        return NULL;
    trial_stop();
    return done();
}

static json_t *results(json_t *request, struct fields *fields)
{
    if (!fields_done(fields) || !resting(fields))
        return NULL;
    return results_json();
}

static json_t *quit(json_t *request, struct fields *fields)
{
    if (!fields_done(fields))
        return NULL;
    control_quit();
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
    struct fields fields = fields_of(request, "request", &problem);
    const char *name = fields_text(&fields, "do", NULL);
    json_t *id = json_is_object(request) ? json_object_get(request, "id") : NULL;
    if (id != NULL)
        fields.known++;
    fields.where = name;
    json_t *answer = NULL;
    command *run = NULL;
    for (size_t i = 0; fields.good && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            run = commands[i].run;
    if (fields.good && run == NULL)
        problem_set(&problem, "do", "there is no request %.32s", name);
    if (run != NULL)
        answer = run(request, &fields);
    if (answer == NULL) {
        for (char *c = problem.text; *c != '\0'; c++) /* whatever was quoted, it stays UTF-8 */
            if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
                *c = '?';
        answer = json_pack("{s:{s:s, s:s}}", "error", "where", problem.where, "text", problem.text);
    }
    if (answer == NULL) /* no memory for this either */
        answer = json_null();
    else if (id != NULL)
        json_object_set(answer, "id", id);
    return answer;
}

#include "log.h"

#include <stdio.h>
#include <string.h>

#include <rte_log.h>

static char recent[700];
static size_t recent_length;

static ssize_t take_bytes(void *ignored, const char *text, size_t length)
{
    fwrite(text, 1, length, stderr);
    size_t keep = length < sizeof recent - 1 ? length : sizeof recent - 1;
    if (recent_length + keep > sizeof recent - 1) {
        size_t drop = recent_length + keep - (sizeof recent - 1);
        memmove(recent, recent + drop, recent_length - drop);
        recent_length -= drop;
    }
    memcpy(recent + recent_length, text + (length - keep), keep);
    recent_length += keep;
    return (ssize_t)length;
}

bool log_capture(void)
{
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take_bytes});
    if (stream == NULL)
        return false;
    setvbuf(stream, NULL, _IOLBF, 0);
    return rte_openlog_stream(stream) == 0;
}

const char *log_recent(void)
{
    recent[recent_length] = '\0';
    for (size_t i = 0; i < recent_length; i++)
        if ((unsigned char)recent[i] < ' ' || (unsigned char)recent[i] > '~')
            recent[i] = recent[i] == '\n' ? ';' : ' ';
    while (recent_length > 0 && (recent[recent_length - 1] == ';' || recent[recent_length - 1] == ' '))
        recent[--recent_length] = '\0';
    recent_length = 0;
    return recent[0] != '\0' ? recent : "DPDK logged nothing";
}

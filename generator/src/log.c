#include "log.h"

#include <stdio.h>
#include <string.h>

#include <rte_log.h>

static char last_words[700];
static size_t last_length;

static ssize_t hear(void *ignored, const char *text, size_t length)
{
    fwrite(text, 1, length, stderr);
    size_t keep = length < sizeof last_words - 1 ? length : sizeof last_words - 1;
    if (last_length + keep > sizeof last_words - 1) {
        size_t drop = last_length + keep - (sizeof last_words - 1);
        memmove(last_words, last_words + drop, last_length - drop);
        last_length -= drop;
    }
    memcpy(last_words + last_length, text + (length - keep), keep);
    last_length += keep;
    return (ssize_t)length;
}

bool log_listen(void)
{
    FILE *ear = fopencookie(NULL, "w", (cookie_io_functions_t){.write = hear});
    if (ear == NULL)
        return false;
    setvbuf(ear, NULL, _IOLBF, 0);
    return rte_openlog_stream(ear) == 0;
}

const char *log_last_words(void)
{
    last_words[last_length] = '\0';
    for (size_t i = 0; i < last_length; i++)
        if ((unsigned char)last_words[i] < ' ' || (unsigned char)last_words[i] > '~')
            last_words[i] = last_words[i] == '\n' ? ';' : ' ';
    while (last_length > 0 && (last_words[last_length - 1] == ';' || last_words[last_length - 1] == ' '))
        last_words[--last_length] = '\0';
    last_length = 0;
    return last_words[0] != '\0' ? last_words : "DPDK said no more";
}

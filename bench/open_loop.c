/* Requests at a constant rate, whatever the server does. See open_loop.py.
 *
 * One thread, epoll, connections that have one request on its way at most. A request that is due when
 * no connection is free waits for one, and its time counts from when it was due. Latencies and the
 * client's own lateness (a connection was free, but this loop came late) go into buckets 1 % wide.
 * Answers need a Content-Length or no body. Prints JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD 16384
#define BUCKETS 2400 /* 1 µs to hours */
#define ANSWERS_S 10.0

typedef struct {
    char *p;
    size_t n;
} bytes;

typedef struct {
    int fd, busy;
    double due;
    bytes request;
    size_t sent, got, wanted; /* wanted: bytes of the whole answer; 0: its head is not whole */
    char head[HEAD];
} client;

static uint64_t latencies[BUCKETS], lateness[BUCKETS];
static long good, bad, dropped; /* answers, and requests whose connection ended */
static int lost;                /* connections that ended */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void count(uint64_t *into, double seconds) {
    const double micros = seconds < 1e-6 ? 1 : seconds * 1e6;
    const int bucket = (int)ceil(log(micros) / log(1.01));
    into[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

/* Milliseconds within which so many per cent lie. */
static double percentile(const uint64_t *of, double percent) {
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) total += of[i];
    const double wanted = ceil(percent / 100 * (double)total);
    for (int i = 0; i < BUCKETS && total; i++) {
        seen += of[i];
        if ((double)seen >= wanted) return 1e-3 * pow(1.01, i);
    }
    return 0;
}

static void stop(const char *what) {
    fprintf(stderr, "open_loop: %s: %s\n", what, strerror(errno));
    exit(2);
}

static bytes read_file(const char *path) {
    struct stat found;
    const int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &found)) stop(path);
    bytes b = {malloc((size_t)found.st_size + 1), (size_t)found.st_size};
    for (size_t at = 0; at < b.n;) {
        const ssize_t n = read(fd, b.p + at, b.n - at);
        if (n <= 0) stop(path);
        at += (size_t)n;
    }
    close(fd);
    return b;
}

static void watch(int epoll, client *c, uint32_t what, int how) {
    struct epoll_event event = {.events = what, .data.ptr = c};
    if (epoll_ctl(epoll, how, c->fd, &event)) stop("epoll_ctl");
}

/* Sends what can be sent; the rest when there is room. */
static void push(int epoll, client *c) {
    while (c->sent < c->request.n) {
        const ssize_t n = send(c->fd, c->request.p + c->sent, c->request.n - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) watch(epoll, c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return; /* what is lost is seen when it is read */
        }
        c->sent += (size_t)n;
    }
}

static void start(int epoll, client *c, bytes request, double due) {
    c->busy = 1;
    c->due = due;
    c->request = request;
    c->sent = c->got = c->wanted = 0;
    push(epoll, c);
}

/* Reads; 1 when the answer is whole, -1 when the connection ended. */
static int pull(client *c) {
    char rest[65536];
    for (;;) {
        const int head = !c->wanted;
        if (head && c->got == HEAD - 1) return -1;
        const ssize_t n = head ? recv(c->fd, c->head + c->got, HEAD - 1 - c->got, 0)
                               : recv(c->fd, rest, sizeof rest, 0);
        if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
        c->got += (size_t)n;
        if (head) {
            c->head[c->got] = 0;
            const char *end = strstr(c->head, "\r\n\r\n");
            if (!end) continue;
            const char *length = strcasestr(c->head, "\r\ncontent-length:");
            c->wanted = (size_t)(end + 4 - c->head);
            if (length && length < end) c->wanted += strtoul(length + 17, NULL, 10);
        }
        if (c->got >= c->wanted) return 1;
    }
}

int main(int argc, char **argv) {
    if (argc < 7) stop("HOST PORT RATE SECONDS CONNECTIONS FILE...");
    const double rate = atof(argv[3]), seconds = atof(argv[4]);
    const int clients_n = atoi(argv[5]), files = argc - 6;
    const long total = (long)(rate * seconds);
    bytes *requests = calloc((size_t)files, sizeof *requests);
    client *clients = calloc((size_t)clients_n, sizeof *clients);
    client **idle = calloc((size_t)clients_n, sizeof *idle);
    int idle_n = 0, one = 1;
    for (int i = 0; i < files; i++) requests[i] = read_file(argv[6 + i]);
    const int epoll = epoll_create1(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) stop("the host is no IPv4 address");
    for (int i = 0; i < clients_n; i++) {
        client *c = idle[idle_n++] = &clients[i];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) stop("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        watch(epoll, c, EPOLLIN, EPOLL_CTL_ADD);
    }
    struct epoll_event events[512];
    const double began = now();
    long next = 0; /* the request that is due next, in the order of their times */
    double until = began + seconds + ANSWERS_S, freed = began;
    while (good + bad + dropped < total && now() < until && lost < clients_n) {
        double at = now();
        while (next < total && idle_n && began + (double)next / rate <= at) {
            const double due = began + (double)next / rate;
            count(lateness, at - (due > freed ? due : freed));
            start(epoll, idle[--idle_n], requests[next % files], due);
            next++;
            at = now();
        }
        int wait = 100;
        if (idle_n && next < total) {
            const double left = began + (double)next / rate - now();
            wait = left > 0.002 ? (int)(1e3 * left) : 0;
            if (left > 0 && !wait) {
                const struct timespec nap = {0, (long)(1e9 * left)};
                if (left > 50e-6) nanosleep(&nap, NULL);
            }
        }
        const int n = epoll_wait(epoll, events, 512, wait);
        const int all_busy = !idle_n;
        for (int i = 0; i < n; i++) {
            client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                watch(epoll, c, EPOLLIN, EPOLL_CTL_MOD);
                push(epoll, c);
            }
            const int whole = pull(c);
            if (whole < 0) {
                lost++;
                dropped += c->busy;
                for (int k = 0; k < idle_n; k++)
                    if (idle[k] == c) idle[k--] = idle[--idle_n];
                epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
                close(c->fd);
            } else if (whole && c->busy) {
                count(latencies, now() - c->due);
                c->head[9] == '2' ? good++ : bad++;
                c->busy = 0;
                idle[idle_n++] = c;
            }
        }
        if (all_busy && idle_n) freed = now();
    }
    printf("{\"rate\": %.3f, \"sent\": %ld, \"good\": %ld, ", rate, next, good);
    printf("\"bad\": %ld, \"unanswered\": %ld", bad, total - good - bad);
    static const double shown[] = {50, 90, 99, 99.9, 100};
    for (int i = 0; i < 5; i++)
        printf(", \"p%g_ms\": %.3f", shown[i], percentile(latencies, shown[i]));
    printf(", \"own_p99_ms\": %.3f}\n", percentile(lateness, 99));
    return 0;
}

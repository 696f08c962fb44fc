/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GnuTLS behind tls.h. The one suite that is offered and taken has no certificates: an end without the key has nothing
 * to go on with. That a key was used is asked once more after the handshake. The library changes the keys of a long
 * connection itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/tls.h"

/*
 * The key is bound to a handshake with SHA-256, so only suites with that go with it. A signature is named since the
 * library takes no list without one; nobody has a certificate to sign with.
 */
#define SUITES                                                                                          \
    "NONE:+VERS-TLS1.3:+AES-128-GCM:+CHACHA20-POLY1305:+AEAD:+ECDHE-PSK:+GROUP-X25519:+GROUP-SECP256R1" \
    ":+SIGN-EDDSA-ED25519"
#define IDENTITY "umbra"

struct tls {
    gnutls_session_t session;
    gnutls_psk_client_credentials_t client;
    gnutls_psk_server_credentials_t server;
    uint8_t key[TLS_KEY_SIZE];
    int sock, error;
};

static int find_key(gnutls_session_t session, const char *identity, gnutls_datum_t *key)
{
    const struct tls *t = gnutls_session_get_ptr(session);

    if (strcmp(identity, IDENTITY) != 0)
        return -1;
    key->data = gnutls_malloc(TLS_KEY_SIZE);
    if (!key->data)
        return -1;
    memcpy(key->data, t->key, TLS_KEY_SIZE);
    key->size = TLS_KEY_SIZE;
    return 0;
}

static int set_key(struct tls *t, bool server)
{
    gnutls_datum_t key = {.data = t->key, .size = TLS_KEY_SIZE};
    int rc;

    if (server) {
        rc = gnutls_psk_allocate_server_credentials(&t->server);
        if (rc == 0)
            gnutls_psk_set_server_credentials_function(t->server, find_key);
        return rc ? rc : gnutls_credentials_set(t->session, GNUTLS_CRD_PSK, t->server);
    }
    rc = gnutls_psk_allocate_client_credentials(&t->client);
    if (rc == 0)
        rc = gnutls_psk_set_client_credentials(t->client, IDENTITY, &key, GNUTLS_PSK_KEY_RAW);
    return rc ? rc : gnutls_credentials_set(t->session, GNUTLS_CRD_PSK, t->client);
}

struct tls *tls_new(int sock, bool server, const uint8_t key[TLS_KEY_SIZE])
{
    unsigned flags = (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL;
    struct tls *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->sock = sock;
    memcpy(t->key, key, TLS_KEY_SIZE);
    fcntl(sock, F_SETFL, fcntl(sock, F_GETFL) | O_NONBLOCK);
    t->error = gnutls_init(&t->session, flags);
    if (t->error == 0) {
        gnutls_session_set_ptr(t->session, t);
        gnutls_transport_set_int(t->session, sock);
        t->error = gnutls_priority_set_direct(t->session, SUITES, NULL);
    }
    if (t->error == 0)
        t->error = set_key(t, server);
    if (t->error == 0)
        return t;
    tls_free(t);
    return NULL;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    if (t->session)
        gnutls_deinit(t->session);
    if (t->client)
        gnutls_psk_free_client_credentials(t->client);
    if (t->server)
        gnutls_psk_free_server_credentials(t->server);
    gnutls_memset(t->key, 0, sizeof(t->key));
    free(t);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The whole of the handshake has this time, whatever drips in meanwhile. */
static int wait_until(const struct tls *t, uint64_t until)
{
    struct pollfd p = {.fd = t->sock, .events = gnutls_record_get_direction(t->session) ? POLLOUT : POLLIN};
    uint64_t now = now_ms();

    if (now >= until)
        return -ETIMEDOUT;
    poll(&p, 1, (int)(until - now));
    return 0;
}

static bool used_key(const struct tls *t)
{
    return gnutls_protocol_get_version(t->session) == GNUTLS_TLS1_3 &&
           gnutls_auth_get_type(t->session) == GNUTLS_CRD_PSK;
}

static bool went_away(int error)
{
    return error == GNUTLS_E_PREMATURE_TERMINATION || error == GNUTLS_E_PULL_ERROR || error == GNUTLS_E_PUSH_ERROR;
}

int tls_handshake(struct tls *t, unsigned timeout_ms)
{
    uint64_t until = now_ms() + timeout_ms;

    while ((t->error = gnutls_handshake(t->session)) < 0) {
        if (gnutls_error_is_fatal(t->error)) {
            gnutls_alert_send_appropriate(t->session, t->error);
            return went_away(t->error) ? -EPIPE : -EACCES;
        }
        if (wait_until(t, until))
            return -ETIMEDOUT;
    }
    return used_key(t) ? 0 : -EACCES;
}

static ssize_t result(struct tls *t, ssize_t n)
{
    if (n >= 0)
        return n;
    t->error = (int)n;
    if (!gnutls_error_is_fatal(t->error))
        return -EAGAIN;
    return went_away(t->error) ? -EPIPE : -EIO;
}

ssize_t tls_read(struct tls *t, void *to, size_t size)
{
    return result(t, gnutls_record_recv(t->session, to, size));
}

ssize_t tls_write(struct tls *t, const void *from, size_t size)
{
    return result(t, gnutls_record_send(t->session, from, size));
}

int tls_end(struct tls *t)
{
    return (int)result(t, gnutls_bye(t->session, GNUTLS_SHUT_WR));
}

const char *tls_why(const struct tls *t)
{
    if (t->error == GNUTLS_E_FATAL_ALERT_RECEIVED)
        return gnutls_alert_get_name(gnutls_alert_get(t->session));
    return gnutls_strerror(t->error);
}

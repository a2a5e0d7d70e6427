/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* enforcer <-> trireme-credentials: who connects gets one byte and, if there are credentials, a descriptor of their directory, which lasts as long as the connection. PID 1 reads the
 * credential store, and decrypts, anew for each connection, since each starts the service. */

#define CREDENTIALS_SOCKET_PATH "/run/trireme/credentials.sock"

/* Made by trireme-keygen --check, as root, before each reading: the path of a secret in the credential store that others may read; not there if none is. */
#define CREDENTIALS_EXPOSED_PATH "/run/trireme/exposed-key"

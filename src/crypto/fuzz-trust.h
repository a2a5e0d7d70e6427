/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Made by tests/fuzz/make-certificate-corpus. */

#define FUZZ_TRUST_SEC INT64_C(1795493187)

static const char fuzz_trust[] =
        "-----BEGIN CERTIFICATE-----\n"
        "MIIBZDCCAQqgAwIBAgIUOOSnXYDvIUEZ/nAYhlvpfMmWJsswCgYIKoZIzj0EAwIw\n"
        "DzENMAsGA1UEAwwEcm9vdDAgFw0yNjExMjMwNDA2MjVaGA8yMTI2MTAzMDA0MDYy\n"
        "NVowDzENMAsGA1UEAwwEcm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPBV\n"
        "CXA1RCwWSbH2oYGDSeAWR6+spwmkUz9RAS3W+8/I5n9l8VocpZYoyNIAK5VO4vOv\n"
        "f5Y7J4k2YXBWNf9ERV+jQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQD\n"
        "AgEGMB0GA1UdDgQWBBQgIesdSM1qpdaKrWX/+9cS5A4QNjAKBggqhkjOPQQDAgNI\n"
        "ADBFAiEAiUw+6A6MCEYmuZqSpRjFpdog8dttSCgZPburAJC+1oECIEV+GAO/O0N3\n"
        "qREZYGTKL7YgmyuCVmXc6iSio4rX4iyA\n"
        "-----END CERTIFICATE-----\n"
        "-----BEGIN CERTIFICATE-----\n"
        "MIIBZjCCAQygAwIBAgIIQY83m4Qnm2QwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwE\n"
        "cm9vdDAgFw0yNjExMjMwNDA2MjVaGA8yMTI2MTAzMDA0MDYyNVowETEPMA0GA1UE\n"
        "AwwGbWlkZGxlMCowBQYDK2VwAyEAtKNED+OMirhPPFOu8fB6vky+hJtGk7NNlPBU\n"
        "yPD7iryjfTB7MA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMBgGA1Ud\n"
        "EQQRMA+GDXRyaXJlbWU6YXBwPSowHQYDVR0OBBYEFNRB3na/cb6Sx6txUnTIufMo\n"
        "59MJMB8GA1UdIwQYMBaAFCAh6x1IzWql1oqtZf/71xLkDhA2MAoGCCqGSM49BAMC\n"
        "A0gAMEUCIQCRy2kuddXcVin5Hz2oQSrx6PAt0wr2+dS9PxvRqsbfEwIgTSEyclvj\n"
        "zgs9edr9YRAZvJvZgE0ZCEVrfzfxm1by9Ps=\n"
        "-----END CERTIFICATE-----\n";

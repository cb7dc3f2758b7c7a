"""A made-up service account key for the form's example and the sandbox. Its RSA key was made for this file and opens
nothing: no project, no account, no service has ever known it.
"""

from __future__ import annotations

SERVICE_ACCOUNT = (
    r'{"type": "service_account", "project_id": "acme-analytics-1042", "private_key_id": "0123456789abcdef0123'
    r'456789abcdef01234567", "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw'
    r"ggSjAgEAAoIBAQCyrO/ptKlsJRbx\n5smt/01zSyQQPOhT6p/ENJyi4S249QG1SWa2jMEQLGgj6lx1aHksZo/2JJeZTpsr\nn1Lfvv2O"
    r"yAcWZcpDPq/X2F3Tjxye/Sz6usTrIkFTuRJjzR1I1AdwyepWeOoDYsrw\nmcrIIW575CrqgP3gnZWdid8t31CTe/UYrv6YkU6iCgOl0p"
    r"sC4dCuD94dnjXlml51\nyHGgPCw6roG+uql6dEnMkSOZaumEShZvXQkLKOl1YAcxA2J4ZxbrkENUWObz9yTi\ncdLv3Qc1y9CqgYQEla"
    r"iAsqE8F/2CWESt+ZcaQm8Ro7vsziq2O5Q6SGUS1bxEUSQS\nDTKF/xDjAgMBAAECggEAV0Ygo8OSk9fkBsGHln1jS+MSmPnfM4ohgtl9"
    r"/xNFXZgT\nPwU87gL/lJJUReLGSbT/px/rxrul7wTVx295r/+e43yx9Y8/xivbAW/WmK1JOiGJ\nNGlBIWcoiKgYIvaADOBASCfgVl+W"
    r"UpQRc4dzZODrkglnqwbZuzrN51b+U+5F8dti\nFwRUv31Jz/LECEZSvqF7IkIQ4Qer29YIJ8Fzq84UFS+eZKMo+jx9uMLxiFXorDRT\n"
    r"iS7Rg2+5/sGCkiOpX6tOPmWxMrJ2ZpaKYRBwMWTKwTLH7Uw4COYw0xNj+LOCJ+ib\na5zFSkjmiYEMIsAJlrk0qaph1BSKj5BA0UdMsr"
    r"EMJQKBgQD0aMRTimoNE51xft/D\nz3hZQL4twXgrICTs3iqdtg8T8W8Ejj/IUUKgCwKya1Z4hzNQmWQihM3Y1DZkWRYj\nFwL0VQm5P7"
    r"77fsTD7PUd2iq2gf/GtYgTK1DEWqJfZdGcmUM30RUNpoHaG/gSnZpn\nZ6dtcgwi25n7PZ3M1hKN10metwKBgQC7JiKDlTl5oVtPLAEB"
    r"482DL1TvRMGw50+8\nwknPgZuUftCtHC/Wa+4l0D/zs+6lmc8DPd9BkfAJNVZchga9AjZAlmwOXqxgV+hk\nwr8wfWAahZnxoxUn/GcV"
    r"yu89nBukn3BHYUyzRMibwQRM5nRXS7GChbDhe5oVPjng\nmsvK1TNzNQKBgG/vl5LnPqDUjfQP9m2YlHbUFwWfqOifZSnyqjPm0MsCdS"
    r"Tx/TZC\nOTBROp/6VvUGfrL4PYstpZUbw/l7b48Ml/bNB5IHJvHJ4lYVLUHJzGwf58PbGgIl\ngW0cUWc9m52L9+QVZv4Ed04sJxZnhf"
    r"K730tZw0MnrkMJuj65AHBj3DzLAoGBAK/D\nevq1dUtEPas3mqKZvfOMymoE2xw3we13UzbtdJ6cE4PhSxRIPVuKH+XTgThKId/b\nhg"
    r"fg9dzQGRHAVifBIg66tzUvuRiqtvma5VC3D0EZZKFKFp59MJuJAfOM33FWxG5l\ndVGQMhAF0PIgJfeugUIiKSM7oFR/IoBNIUSXw0BZ"
    r"AoGAPB/kDETKd1Hg1spJGo7/\ne6CLlzihJi90vga3RnXM4EM7Vcej7zvtxoJ9GvNzuM0/bVD+LJix8Y56RB/814MT\nVCqK+kNwPcAm"
    r"aK+m08c0OSZPNVCS48/WMJkGc5eN2vnkktovwH5CUblh+06AaqT0\nhbwDeoaFx7+F19GlezDlpqU=\n-----END PRIVATE KEY----"
    r'-\n", "client_email": "trackstack@acme-analytics-1042.iam.gserviceaccount.com", "client_id": "1234567890'
    r'12345678901", "token_uri": "https://oauth2.googleapis.com/token"}'
)

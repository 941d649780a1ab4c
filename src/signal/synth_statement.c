#include "signal/synth_statement.h"

#include <stddef.h>
#include <string.h>

#define MI_GROUP "myocardial infarction"
#define INJURY_GROUP "subendocardial injury"
#define ISCHEMIA_GROUP "ischemia"
#define STT_GROUP "ST-T change"
#define BLOCK_GROUP "intraventricular conduction"
#define AV_GROUP "atrioventricular conduction"
#define ATRIUM_GROUP "atrial enlargement"
#define VENTRICLE_GROUP "ventricular hypertrophy"
#define QRS_GROUP "QRS shape"
#define ECTOPIC_GROUP "ectopic beats"
#define RHYTHM_GROUP "rhythm"

#define DIAGNOSTIC(code, class, subclass, group, title)                                            \
    {                                                                                              \
        code, title, false, false, class, subclass, group                                          \
    }
#define DIAGNOSTIC_FORM(code, class, subclass, group, title)                                       \
    {                                                                                              \
        code, title, true, false, class, subclass, group                                           \
    }
#define FORM(code, group, title)                                                                   \
    {                                                                                              \
        code, title, true, false, NULL, NULL, group                                                \
    }
#define RHYTHM(code, title)                                                                        \
    {                                                                                              \
        code, title, false, true, NULL, NULL, RHYTHM_GROUP                                         \
    }

const struct statement statements[STATEMENT_COUNT] = {
    DIAGNOSTIC("NORM", "NORM", "NORM", "normal", "normal ECG"),

    DIAGNOSTIC("IMI", "MI", "IMI", MI_GROUP, "inferior myocardial infarction"),
    DIAGNOSTIC("ASMI", "MI", "AMI", MI_GROUP, "anteroseptal myocardial infarction"),
    DIAGNOSTIC("AMI", "MI", "AMI", MI_GROUP, "anterior myocardial infarction"),
    DIAGNOSTIC("ALMI", "MI", "AMI", MI_GROUP, "anterolateral myocardial infarction"),
    DIAGNOSTIC("ILMI", "MI", "IMI", MI_GROUP, "inferolateral myocardial infarction"),
    DIAGNOSTIC("LMI", "MI", "LMI", MI_GROUP, "lateral myocardial infarction"),
    DIAGNOSTIC("IPLMI", "MI", "IMI", MI_GROUP, "inferoposterolateral myocardial infarction"),
    DIAGNOSTIC("IPMI", "MI", "IMI", MI_GROUP, "inferoposterior myocardial infarction"),
    DIAGNOSTIC("PMI", "MI", "PMI", MI_GROUP, "posterior myocardial infarction"),
    DIAGNOSTIC("INJAS", "MI", "AMI", INJURY_GROUP, "subendocardial injury, anteroseptal leads"),
    DIAGNOSTIC("INJAL", "MI", "AMI", INJURY_GROUP, "subendocardial injury, anterolateral leads"),
    DIAGNOSTIC("INJIN", "MI", "IMI", INJURY_GROUP, "subendocardial injury, inferior leads"),
    DIAGNOSTIC("INJLA", "MI", "AMI", INJURY_GROUP, "subendocardial injury, lateral leads"),
    DIAGNOSTIC("INJIL", "MI", "IMI", INJURY_GROUP, "subendocardial injury, inferolateral leads"),

    DIAGNOSTIC_FORM("NDT", "STTC", "STTC", STT_GROUP, "T wave abnormal without a diagnosis"),
    DIAGNOSTIC_FORM("NST_", "STTC", "NST_", STT_GROUP, "ST segment changed, not specific"),
    DIAGNOSTIC_FORM("DIG", "STTC", "STTC", STT_GROUP, "digitalis effect likely"),
    DIAGNOSTIC_FORM("LNGQT", "STTC", "STTC", STT_GROUP, "QT interval long"),
    DIAGNOSTIC("ISC_", "STTC", "ISC_", ISCHEMIA_GROUP, "ischemic ST-T change, not specific"),
    DIAGNOSTIC("ISCAL", "STTC", "ISCA", ISCHEMIA_GROUP, "ischemia, anterolateral leads"),
    DIAGNOSTIC("ISCIN", "STTC", "ISCI", ISCHEMIA_GROUP, "ischemia, inferior leads"),
    DIAGNOSTIC("ISCIL", "STTC", "ISCI", ISCHEMIA_GROUP, "ischemia, inferolateral leads"),
    DIAGNOSTIC("ISCAS", "STTC", "ISCA", ISCHEMIA_GROUP, "ischemia, anteroseptal leads"),
    DIAGNOSTIC("ISCLA", "STTC", "ISCA", ISCHEMIA_GROUP, "ischemia, lateral leads"),
    DIAGNOSTIC("ISCAN", "STTC", "ISCA", ISCHEMIA_GROUP, "ischemia, anterior leads"),
    DIAGNOSTIC("ANEUR", "STTC", "STTC", STT_GROUP, "ST-T change as with an aneurysm"),
    DIAGNOSTIC("EL", "STTC", "STTC", STT_GROUP, "electrolyte disturbance or drug effect"),

    DIAGNOSTIC("LAFB", "CD", "LAFB/LPFB", BLOCK_GROUP, "left anterior fascicular block"),
    DIAGNOSTIC("LPFB", "CD", "LAFB/LPFB", BLOCK_GROUP, "left posterior fascicular block"),
    DIAGNOSTIC("IRBBB", "CD", "IRBBB", BLOCK_GROUP, "incomplete right bundle branch block"),
    DIAGNOSTIC("CRBBB", "CD", "CRBBB", BLOCK_GROUP, "complete right bundle branch block"),
    DIAGNOSTIC("ILBBB", "CD", "ILBBB", BLOCK_GROUP, "incomplete left bundle branch block"),
    DIAGNOSTIC("CLBBB", "CD", "CLBBB", BLOCK_GROUP, "complete left bundle branch block"),
    DIAGNOSTIC("IVCD", "CD", "IVCD", BLOCK_GROUP, "intraventricular block, not specific"),
    DIAGNOSTIC("WPW", "CD", "WPW", BLOCK_GROUP, "Wolff-Parkinson-White syndrome"),
    DIAGNOSTIC("1AVB", "CD", "_AVB", AV_GROUP, "first degree AV block"),
    DIAGNOSTIC("2AVB", "CD", "_AVB", AV_GROUP, "second degree AV block"),
    DIAGNOSTIC("3AVB", "CD", "_AVB", AV_GROUP, "third degree AV block"),

    DIAGNOSTIC("LVH", "HYP", "LVH", VENTRICLE_GROUP, "left ventricular hypertrophy"),
    DIAGNOSTIC("RVH", "HYP", "RVH", VENTRICLE_GROUP, "right ventricular hypertrophy"),
    DIAGNOSTIC("SEHYP", "HYP", "SEHYP", VENTRICLE_GROUP, "septal hypertrophy"),
    DIAGNOSTIC("LAO/LAE", "HYP", "LAO/LAE", ATRIUM_GROUP, "left atrial overload or enlargement"),
    DIAGNOSTIC("RAO/RAE", "HYP", "RAO/RAE", ATRIUM_GROUP, "right atrial overload or enlargement"),

    FORM("ABQRS", QRS_GROUP, "QRS abnormal"),
    FORM("QWAVE", QRS_GROUP, "Q waves"),
    FORM("LVOLT", QRS_GROUP, "QRS voltage low"),
    FORM("HVOLT", QRS_GROUP, "QRS voltage high"),
    FORM("VCLVH", QRS_GROUP, "voltage criteria of left ventricular hypertrophy"),
    FORM("STD_", STT_GROUP, "ST depression, not specific"),
    FORM("STE_", STT_GROUP, "ST elevation, not specific"),
    FORM("LOWT", STT_GROUP, "T waves low"),
    FORM("INVT", STT_GROUP, "T waves inverted"),
    FORM("NT_", STT_GROUP, "T waves changed, not specific"),
    FORM("TAB_", STT_GROUP, "T wave abnormality"),
    FORM("LPR", AV_GROUP, "PR interval long"),
    FORM("PVC", ECTOPIC_GROUP, "ventricular premature beat"),
    FORM("PAC", ECTOPIC_GROUP, "atrial premature beat"),
    FORM("PRC(S)", ECTOPIC_GROUP, "premature beat of unknown origin"),

    RHYTHM("SR", "sinus rhythm"),
    RHYTHM("AFIB", "atrial fibrillation"),
    RHYTHM("STACH", "sinus tachycardia"),
    RHYTHM("SARRH", "sinus arrhythmia"),
    RHYTHM("SBRAD", "sinus bradycardia"),
    RHYTHM("PACE", "pacemaker rhythm"),
    RHYTHM("SVARR", "supraventricular arrhythmia"),
    RHYTHM("BIGU", "bigeminy"),
    RHYTHM("AFLT", "atrial flutter"),
    RHYTHM("SVTAC", "supraventricular tachycardia"),
    RHYTHM("PSVT", "paroxysmal supraventricular tachycardia"),
    RHYTHM("TRIGU", "trigeminy"),
};

const struct statement *statement_find(const char *code)
{
    for (int i = 0; i < STATEMENT_COUNT; i++)
        if (strcmp(statements[i].code, code) == 0)
            return &statements[i];
    return NULL;
}
